variable "still_mapped" {
  type        = set(string)
  description = "Functions whose queue goes on feeding the Lambda until their containers run."
  default     = []
  validation {
    condition     = alltrue([for name in var.still_mapped : can(regex("^[a-z][a-z0-9_]*$", name))])
    error_message = "Functions are named by a-z, 0-9 and _."
  }
}

variable "shim_database" {
  type        = map(string)
  description = "Settings of the shim's database, for the environment local."
  default     = {}
  validation {
    condition     = alltrue([for name in keys(var.shim_database) : startswith(name, "DB_")])
    error_message = "Settings of the database begin with DB_."
  }
}
