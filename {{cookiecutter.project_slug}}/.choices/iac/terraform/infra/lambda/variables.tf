variable "still_mapped" {
  type        = set(string)
  description = "Containers whose queue still feeds their Lambda."
  default     = []
  validation {
    condition     = alltrue([for name in var.still_mapped : can(regex("^[a-z][a-z0-9_]*$", name))])
    error_message = "The name of a function has a-z, 0-9 and _ only."
  }
}

variable "shim_database" {
  type        = map(string)
  description = "Settings of the shim's database, for the environment local."
  default     = {}
  validation {
    condition     = alltrue([for name in keys(var.shim_database) : startswith(name, "DB_")])
    error_message = "The names of the database's settings must begin with DB_."
  }
}

variable "synced" {
  type        = map(string)
  description = "Hashes to keep, since 'make sync' has updated the code of these functions."
  default     = {}
  validation {
    condition     = alltrue([for hash in values(var.synced) : hash != ""])
    error_message = "A hash must not be empty."
  }
}
