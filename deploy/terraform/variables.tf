variable "name" {
  description = "Name of the stack. Lowercase and at most 25 characters, unless ChannelBucketName is set."
  type        = string
  default     = "sluice"
}

variable "release" {
  description = "Release to deploy, as in the name of its template: 0.1.0. Change it to upgrade or roll back."
  type        = string
}

variable "code_bucket" {
  description = "Bucket with the code and the template of the release, in the region of the stack."
  type        = string
}

variable "code_prefix" {
  description = "Prefix of their keys, with a slash at the end. Empty: the root of the bucket."
  type        = string
  default     = ""

  validation {
    condition     = var.code_prefix == "" || endswith(var.code_prefix, "/")
    error_message = "The prefix must be empty or end with a slash."
  }
}

variable "parameters" {
  description = "Parameters of the template to set, see docs/reference/parameters.md."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Tags of the stack and its resources."
  type        = map(string)
  default     = {}
}
