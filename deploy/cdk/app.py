"""A stack of sluice in an app of CDK: the template of a release, whose code is in your bucket.

Before: ``aws s3 sync dist/stack s3://BUCKET/PREFIX``, in the region of the stack.
"""

from aws_cdk import App, Stack, Token, aws_s3, cloudformation_include

app = App()
stack = Stack(app, "sluice")
sluice = cloudformation_include.CfnInclude(
    stack,
    "Release",
    template_file=app.node.get_context("template"),  # dist/stack/sluice-0.1.0.template.json
    parameters={
        "CodeBucket": app.node.get_context("code-bucket"),
        "CodePrefix": app.node.get_context("code-prefix"),
    },
)
# The bucket of packages, whether the stack makes it or it was there: channel.grant_put(publisher)
name = Token.as_string(sluice.get_output("ChannelBucketName").value)
channel = aws_s3.Bucket.from_bucket_name(stack, "Channel", name)
app.synth()
