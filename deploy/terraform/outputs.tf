output "stack" {
  description = "Id of the stack, which its index files and the command line (--stack) know it by."
  value       = aws_cloudformation_stack.sluice.id
}

output "outputs" {
  description = "All outputs of the stack: docs/reference/stack.md."
  value       = aws_cloudformation_stack.sluice.outputs
}

output "channel_bucket" {
  description = "Upload packages here, as <channel>/<subdir>/<filename>."
  value       = aws_cloudformation_stack.sluice.outputs["ChannelBucketName"]
}
