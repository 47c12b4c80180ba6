variable "name" {
  description = "Name of the stack. Lower case and at most 25 characters, unless the bucket gets a name of its own."
  type        = string
  default     = "sluice"
}

variable "release" {
  description = "The release to run, as in the name of its template: 0.1.0. Another one is an upgrade, or a rollback."
  type        = string
}

variable "code_bucket" {
  description = "Bucket that has the code and the template of the release, in the region of the stack."
  type        = string
}

variable "code_prefix" {
  description = "What their keys begin with there, with a slash at the end. Empty: at the root of the bucket."
  type        = string
  default     = ""

  validation {
    condition     = var.code_prefix == "" || endswith(var.code_prefix, "/")
    error_message = "The prefix must be empty or end with a slash."
  }
}

variable "parameters" {
  description = "Parameters of the template that are not to have their defaults: docs/reference/parameters.md."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Tags of the stack and of what it makes."
  type        = map(string)
  default     = {}
}
