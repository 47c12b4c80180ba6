output "stack" {
  description = "ID of the stack. The command line accepts it as --stack."
  value       = aws_cloudformation_stack.sluice.id
}

output "outputs" {
  description = "All outputs of the stack, see docs/reference/stack.md."
  value       = aws_cloudformation_stack.sluice.outputs
}

output "channel_bucket" {
  description = "Bucket for packages, which you upload as <channel>/<subdir>/<filename>."
  value       = aws_cloudformation_stack.sluice.outputs["ChannelBucketName"]
}
