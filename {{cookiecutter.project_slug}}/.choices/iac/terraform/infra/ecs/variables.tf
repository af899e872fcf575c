variable "kept" {
  type        = map(string)
  description = "ARNs of the task definitions that services keep, since newer ones were rolled back."
  default     = {}
  validation {
    condition     = alltrue([for arn in values(var.kept) : startswith(arn, "arn:")])
    error_message = "A task definition must be an ARN."
  }
}
