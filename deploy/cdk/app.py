"""A stack of sluice in an app of CDK: the template of a release, whose code is in your bucket.

Before: ``aws s3 sync dist/stack s3://BUCKET/PREFIX``, in the region of the stack.
"""

from aws_cdk import App, CfnOutput, Stack, cloudformation_include

app = App()
stack = Stack(app, "sluice")
sluice = cloudformation_include.CfnInclude(
    stack,
    "Release",
    template_file=app.node.get_context("template"),  # dist/stack/sluice-0.1.0.template.json
    preserve_logical_ids=True,
    parameters={
        "CodeBucket": app.node.get_context("code-bucket"),
        "CodePrefix": app.node.get_context("code-prefix"),
        "DebounceSeconds": 10,
    },
)
bucket = sluice.get_resource("ChannelBucket")  # an aws_s3.CfnBucket
CfnOutput(stack, "ChannelBucketArn", value=bucket.get_att("Arn").to_string())
app.synth()
