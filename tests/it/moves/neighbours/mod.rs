//! Others that have to do with logins on the same host: a program that bans whoever guesses passwords, and another server
//! for SSH.

mod dropbear;
mod fail2ban;
