# Your own resources. README.md beside this file has an example.
