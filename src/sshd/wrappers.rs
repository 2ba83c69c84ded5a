//! TCP wrappers: where sshd is linked with libwrap, as Debian's is, `/etc/hosts.deny` still refuses logins.
//!
//! Only what is certain is said: a name, a net group or a word that is not known here may fit or not.
//! Source: hosts_access(5) and hosts_options(5) of tcp-wrappers 7.6.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::facts::SshFacts;

/// Whether something fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fits {
    Yes,
    No,
    Unknown,
}

/// Lines with their numbers, continued ones joined, comments and empty ones left out.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let (part, goes_on) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match found.last_mut() {
            Some((_, begun)) if open => begun.push_str(part),
            _ => found.push((index + 1, part.to_owned())),
        }
        open = goes_on;
    }
    found.retain(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    found
}

/// Splits at colons outside of brackets: `[2001:db8::]/32` is one word.
fn fields(line: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, c) in line.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => {
                found.push(line[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(line[start..].trim());
    found
}

/// `a b EXCEPT c`: fits the first part and not the second.
fn list(text: &str, fits: &dyn Fn(&str) -> Fits) -> Fits {
    let words: Vec<&str> = text
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty())
        .collect();
    let mut parts = words.split(|word| word.eq_ignore_ascii_case("EXCEPT"));
    let any = |words: &[&str]| {
        let answers: Vec<Fits> = words.iter().map(|word| fits(word)).collect();
        [Fits::Yes, Fits::Unknown]
            .into_iter()
            .find(|answer| answers.contains(answer))
            .unwrap_or(Fits::No)
    };
    let first = parts.next().map_or(Fits::No, any);
    let rest: Vec<Fits> = parts.map(any).collect();
    match (first, rest.as_slice()) {
        (first, []) => first,
        (Fits::No, _) | (_, [Fits::Yes]) => Fits::No,
        (first, [Fits::No]) => first,
        _ => Fits::Unknown,
    }
}

fn daemon(word: &str) -> Fits {
    match word {
        "ALL" | "sshd" => Fits::Yes,
        _ if word.starts_with("sshd@") => Fits::Unknown,
        _ => Fits::No,
    }
}

fn client(word: &str, from: IpAddr) -> Fits {
    let plain = word.replace(['[', ']'], "");
    let masked = plain
        .split_once('/')
        .and_then(|(net, mask)| Some((net.parse::<IpAddr>().ok()?, mask.parse::<IpAddr>().ok()?)));
    if let Some((net, mask)) = masked {
        return match IpNet::with_netmask(net, mask) {
            Ok(net) if net.contains(&from) => Fits::Yes,
            Ok(_) => Fits::No,
            Err(_) => Fits::Unknown,
        };
    }
    if let Ok(net) = plain.parse::<IpNet>() {
        return if net.contains(&from) { Fits::Yes } else { Fits::No };
    }
    if let Ok(address) = plain.parse::<IpAddr>() {
        return if address == from { Fits::Yes } else { Fits::No };
    }
    let beginning = word.ends_with('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    match word {
        "ALL" => Fits::Yes,
        _ if beginning && from.to_string().starts_with(word) => Fits::Yes,
        _ if beginning => Fits::No,
        _ => Fits::Unknown,
    }
}

/// The first line that fits: its number and text, and whether it says the opposite of its file by an option.
fn first(text: &str, from: IpAddr) -> Option<(usize, String, Fits, bool)> {
    lines(text).into_iter().find_map(|(number, line)| {
        let fields = fields(&line);
        let who = list(fields.first()?, &daemon);
        let whence = list(fields.get(1)?, &|word| {
            client(word.split('@').next_back().unwrap_or(word), from)
        });
        let fits = match (who, whence) {
            (Fits::No, _) | (_, Fits::No) => return None,
            (Fits::Yes, Fits::Yes) => Fits::Yes,
            _ => Fits::Unknown,
        };
        let says = |word: &str| {
            fields
                .iter()
                .skip(2)
                .any(|field| field.eq_ignore_ascii_case(word))
        };
        let denies = says("deny");
        let allows = says("allow");
        Some((number, line.trim().to_owned(), fits, denies || allows))
    })
}

/// The line by which a new login from there is refused, when that is certain.
pub fn refused(ssh: &SshFacts, from: IpAddr) -> Option<String> {
    let (allow, deny) = ssh.wrappers.as_ref()?;
    let place = |file: &str, number: usize, line: &str| {
        format!(
            "{file} line {number} says \"{line}\": sshd would refuse a new login from {from}, and you could not confirm the \
             change. Let your address in, in /etc/hosts.allow:   sshd: {from}"
        )
    };
    if let Some((number, line, fits, denies)) = first(allow, from) {
        let denies = denies && line.to_ascii_lowercase().contains("deny");
        return (denies && fits == Fits::Yes).then(|| place("/etc/hosts.allow", number, &line));
    }
    let (number, line, fits, option) = first(deny, from)?;
    let allows = option && line.to_ascii_lowercase().contains("allow");
    (!allows && fits == Fits::Yes).then(|| place("/etc/hosts.deny", number, &line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(allow: &str, deny: &str) -> Option<String> {
        let ssh = SshFacts {
            wrappers: Some((allow.to_owned(), deny.to_owned())),
            ..SshFacts::default()
        };
        refused(&ssh, "192.0.2.7".parse().expect("an address"))
    }

    #[test]
    fn a_refusal_is_named_with_its_line() {
        for deny in [
            "ALL: ALL",
            "sshd: ALL EXCEPT 10.",
            "sshd, vsftpd : 192.0.2.",
            "sshd: 192.0.2.0/255.255.255.0",
            "sshd: [2001:db8::]/32 192.0.2.0/24 : twist /bin/echo no",
        ] {
            let text = told("# nobody\nsshd: 10.\n", &format!("\n{deny}\n")).expect(deny);
            assert!(
                text.contains(&format!("/etc/hosts.deny line 2 says \"{deny}\"")),
                "{text}"
            );
        }
        assert!(told("sshd: ALL: deny", "").is_some_and(|text| text.contains("hosts.allow line 1")));
    }

    #[test]
    fn what_is_let_in_or_not_certain_is_not_complained_of() {
        for (allow, deny) in [
            ("", ""),
            ("sshd: 192.0.2.7", "ALL: ALL"),
            ("sshd: .example.com", "ALL: ALL"),
            ("ALL EXCEPT vsftpd: 192.0.2.", "ALL: ALL"),
            ("", "vsftpd: ALL"),
            ("", "sshd: ALL EXCEPT 192.0.2."),
            ("", "sshd: PARANOID"),
            ("", "sshd: .example.com"),
            ("", "ALL: ALL: allow"),
        ] {
            assert_eq!(told(allow, deny), None, "{allow} | {deny}");
        }
    }
}
