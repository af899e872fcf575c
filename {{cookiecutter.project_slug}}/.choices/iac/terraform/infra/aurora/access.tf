# Functions log in as a user of their own. `make deploy` creates it and puts its password here, so
# that no state ever holds it. Their roles, of the stack role, may read it.
resource "aws_secretsmanager_secret" "app" {
  #checkov:skip=CKV_AWS_149:encrypted with AWS's own key
  #checkov:skip=CKV2_AWS_57:each deployment changes the password, and so does make rotate
  name                    = local.spec.database.DB_SECRET
  description             = "User and password of the functions"
  recovery_window_in_days = 0 # a new environment of this name needs the secret's name
}
