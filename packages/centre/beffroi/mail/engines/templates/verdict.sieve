# Stamped by our own rspamd rule, which removes every X-Beffroi header that came from outside.
require ["fileinto", "mailbox"];
if header :is "X-Beffroi-Verdict" "quarantine" {
  fileinto :create "@quarantine@";
  stop;
}
if header :is "X-Beffroi-Spam" "yes" {
  fileinto "Junk";
  stop;
}
