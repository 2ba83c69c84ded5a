//! From the text of an answers file to [`Answers`]: every mistake at once, each with its place.

use std::fmt;

use ipnet::IpNet;

use super::check::no_role;
use super::{Answers, AsperaConf, Daemon, Fault, HttpPorts, Legacy22, Outbound, Vlink};
use crate::catalogue::{Catalogue, PortAnswer, Role};
use crate::document::{Found, Place, Problem, Reader, Section, Shape};
use crate::facts::BackendId;
use crate::port::{PortError, PortRange, parse_port};

/// Every mistake of an answers file, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswersError {
    /// The mistakes, in the order of the file.
    pub problems: Vec<Problem<Fault>>,
}

impl fmt::Display for AnswersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for AnswersError {}

impl Answers {
    /// Reads an answers file as it came from the disk.
    pub fn from_bytes(file: &str, bytes: &[u8], catalogue: &Catalogue) -> Result<Self, AnswersError> {
        Self::from_bytes_accepting(file, bytes, catalogue, &[])
    }

    /// The same, with advice accepted elsewhere than in the file (on the command line), which counts as if it stood there.
    pub fn from_bytes_accepting(
        file: &str,
        bytes: &[u8],
        catalogue: &Catalogue,
        accepted: &[String],
    ) -> Result<Self, AnswersError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::read(file, text, catalogue, accepted),
            Err(error) => {
                let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let problem = Problem {
                    place: Place::of(file, &good, good.len()),
                    fault: Fault::Shape(Shape::NotText),
                };
                Err(AnswersError {
                    problems: vec![problem],
                })
            }
        }
    }

    /// Reads the text of an answers file. `file` is its name for messages.
    ///
    /// What is left out takes the default of the role. A section that is there says all: without keys it is off.
    pub fn from_toml(file: &str, text: &str, catalogue: &Catalogue) -> Result<Self, AnswersError> {
        Self::read(file, text, catalogue, &[])
    }

    fn read(
        file: &str,
        text: &str,
        catalogue: &Catalogue,
        accepted: &[String],
    ) -> Result<Self, AnswersError> {
        let mut reader = Reader::<Fault>::new(file, text);
        let document = reader.parse();
        let top = Section::new(document.get_ref(), "", 0);
        reader.only(top, &TOP_KEYS);
        schema(&mut reader, top);
        let role = role(&mut reader, top, catalogue);
        // Without a role there is nothing to take defaults from; the first one lets the rest be read all the same.
        let answers = role.or(catalogue.roles.first()).map(|basis| {
            let mut form = Form {
                reader: &mut reader,
                catalogue,
                role,
            };
            let mut answers = Self::for_role(basis);
            form.fill(top, &mut answers);
            for code in accepted {
                if !answers.accepts(code) {
                    answers.accept.push(code.clone());
                }
            }
            answers
        });
        if let (Some(answers), Some(_)) = (&answers, role) {
            for mistake in answers.check(catalogue) {
                reader.problem_at(&mistake.key, mistake.fault);
            }
        }
        let problems = reader.finish();
        match answers {
            Some(answers) if problems.is_empty() => Ok(answers),
            _ => Err(AnswersError { problems }),
        }
    }
}

const TOP_KEYS: [&str; 12] = [
    "schema",
    "role",
    "accept",
    "extra",
    "ssh",
    "fasp",
    "http_fallback",
    "web_ui",
    "node_api",
    "vlink",
    "firewall",
    "aspera",
];

fn schema(reader: &mut Reader<'_, Fault>, top: Section<'_>) {
    if top.keys().any(|key| key == "schema") {
        match reader.number(top, "schema", "schema = 1") {
            None | Some(1) => {}
            Some(other) => reader.problem_at("schema", Fault::Schema(other)),
        }
    } else {
        let fault = Shape::Missing {
            key: "schema".to_owned(),
            section: "the top of the file".to_owned(),
            example: "1".to_owned(),
        };
        reader.problem(0, fault);
    }
}

fn role<'c>(reader: &mut Reader<'_, Fault>, top: Section<'_>, catalogue: &'c Catalogue) -> Option<&'c Role> {
    let name = reader.required(top, "role", "\"connect-server\"")?;
    let role = catalogue.role(name);
    if role.is_none() {
        reader.problem_at("role", no_role(name, catalogue));
    }
    role
}

/// The sections of the file, read into answers.
struct Form<'r, 't, 'c> {
    reader: &'r mut Reader<'t, Fault>,
    catalogue: &'c Catalogue,
    role: Option<&'c Role>,
}

impl Form<'_, '_, '_> {
    fn fill(&mut self, top: Section<'_>, answers: &mut Answers) {
        self.ssh(top, answers);
        if let Some(found) = self.section(top, "fasp", &["udp"]) {
            if let Some(udp) = self.udp(&found) {
                answers.fasp_udp = udp;
            }
            self.needs(&found, PortAnswer::FaspUdp);
        }
        if let Some(found) = self.section(top, "http_fallback", &["http", "https"]) {
            answers.http_fallback = self.http(&found);
            self.needs(&found, PortAnswer::FallbackHttp);
        }
        if let Some(found) = self.section(top, "web_ui", &["http", "https"]) {
            answers.web_ui = self.http(&found);
            self.needs(&found, PortAnswer::WebHttps);
        }
        if let Some(found) = self.section(top, "node_api", &["https"]) {
            answers.node_api = self.port(found.section(), "https", "https = 9092");
            self.needs(&found, PortAnswer::NodeHttps);
        }
        if let Some(found) = self.section(top, "vlink", &["udp", "group"]) {
            answers.vlink = self.vlink(&found);
            self.needs(&found, PortAnswer::VlinkUdp);
        }
        answers.accept = self.words(top, "accept", "accept = [\"FW001\"]");
        answers.extra = self.words(top, "extra", "extra = [\"metering\"]");
        self.firewall(top, answers);
        self.aspera(top, answers);
    }

    fn section<'a>(&mut self, top: Section<'a>, name: &str, keys: &[&str]) -> Option<Found<'a>> {
        let found = self.reader.table(top, name)?;
        self.reader.only(found.section(), keys);
        Some(found)
    }

    /// Notes a section with content that the role does not have; an empty one asks for nothing.
    fn needs(&mut self, found: &Found<'_>, answer: PortAnswer) {
        let Some(role) = self.role.filter(|role| !role.uses(answer)) else {
            return;
        };
        let section = found.section();
        if section.keys().next().is_none() {
            return;
        }
        let others: Vec<&str> = self
            .catalogue
            .roles
            .iter()
            .filter(|other| other.uses(answer))
            .map(|other| other.id.as_str())
            .collect();
        let name = answer
            .key()
            .unwrap_or_default()
            .split('.')
            .next()
            .unwrap_or_default();
        let fault = Fault::NoSuchOption {
            option: format!("[{name}]"),
            role: role.id.clone(),
            hint: format!("take it out, or choose a role that has it: {}", others.join(", ")),
        };
        self.reader.problem(found.offset(), fault);
    }

    fn ssh(&mut self, top: Section<'_>, answers: &mut Answers) {
        let keys = ["port", "legacy_22", "restrict_22_to", "keep_22_until", "daemon"];
        let Some(found) = self.section(top, "ssh", &keys) else {
            return;
        };
        let section = found.section();
        if let Some(port) = self.port(section, "port", "port = 33001") {
            answers.ssh.port = port;
        }
        let legacy = [
            ("close", Legacy22::Close),
            ("keep", Legacy22::Keep),
            ("restrict", Legacy22::Restrict),
        ];
        let legacy_22 = self.reader.word(section, "legacy_22", &legacy);
        let daemon = self.reader.word(
            section,
            "daemon",
            &[("move", Daemon::Move), ("leave", Daemon::Leave)],
        );
        let restrict = self.networks(section, "restrict_22_to");
        answers.ssh.keep_22_until = self.date(section, "keep_22_until");
        if let Some(role) = self.role.filter(|role| !role.takes_ssh()) {
            let asked = [
                (
                    "legacy_22",
                    legacy_22.is_some_and(|choice| choice != Legacy22::Keep),
                ),
                ("daemon", daemon == Some(Daemon::Move)),
                ("restrict_22_to", !restrict.is_empty()),
                ("keep_22_until", answers.ssh.keep_22_until.is_some()),
            ];
            for (key, _) in asked.into_iter().filter(|(_, asked)| *asked) {
                let fault = Fault::NoSuchOption {
                    option: format!("ssh.{key}"),
                    role: role.id.clone(),
                    hint:
                        "it takes no SSH from others, so this host's sshd stays as it is; take the line out"
                            .to_owned(),
                };
                self.reader.problem_at(&format!("ssh.{key}"), fault);
            }
            if !role.uses(PortAnswer::SshPort) && section.keys().any(|key| key == "port") {
                let fault = Fault::NoSuchOption {
                    option: "ssh.port".to_owned(),
                    role: role.id.clone(),
                    hint: "take the line out".to_owned(),
                };
                self.reader.problem_at("ssh.port", fault);
            }
        }
        answers.ssh.legacy_22 = legacy_22.unwrap_or(answers.ssh.legacy_22);
        answers.ssh.daemon = daemon.unwrap_or(answers.ssh.daemon);
        answers.ssh.restrict_22_to = restrict;
    }

    fn firewall(&mut self, top: Section<'_>, answers: &mut Answers) {
        let keys = [
            "backend",
            "sources",
            "outbound",
            "default_deny",
            "enable_at_boot",
            "accept",
        ];
        let Some(found) = self.section(top, "firewall", &keys) else {
            return;
        };
        let section = found.section();
        let mut backends = vec![("auto", None)];
        backends.extend(BackendId::ALL.map(|id| (id.as_str(), Some(id))));
        if let Some(backend) = self.reader.word(section, "backend", &backends) {
            answers.firewall.backend = backend;
        }
        answers.firewall.sources = self.networks(section, "sources");
        let outbound = [
            ("auto", Outbound::Auto),
            ("always", Outbound::Always),
            ("never", Outbound::Never),
        ];
        if let Some(choice) = self.reader.word(section, "outbound", &outbound) {
            answers.firewall.outbound = choice;
        }
        if let Some(choice) = self.reader.flag(section, "default_deny", "default_deny = true") {
            answers.firewall.default_deny = choice;
        }
        if let Some(choice) = self
            .reader
            .flag(section, "enable_at_boot", "enable_at_boot = true")
        {
            answers.firewall.enable_at_boot = choice;
        }
        // A last line `accept = [...]` below the last heading belongs to that heading, whatever was meant by it.
        let codes = self.reader.texts(section, "accept", "accept = [\"FW001\"]");
        for (path, code) in codes.unwrap_or_default() {
            if !answers.accepts(code) {
                self.reader
                    .stands_at(format!("accept[{}]", answers.accept.len()), &path);
                answers.accept.push(code.to_owned());
            }
        }
    }

    fn aspera(&mut self, top: Section<'_>, answers: &mut Answers) {
        let Some(found) = self.section(top, "aspera", &["conf"]) else {
            return;
        };
        let words = [("leave", AsperaConf::Leave), ("set", AsperaConf::Set)];
        let choice = self.reader.word(found.section(), "conf", &words);
        answers.aspera_conf = choice.unwrap_or_default();
        if let (AsperaConf::Set, Some(role)) =
            (answers.aspera_conf, self.role.filter(|role| !role.takes_ssh()))
        {
            let fault = Fault::NoSuchOption {
                option: "aspera.conf".to_owned(),
                role: role.id.clone(),
                hint: "it takes no transfers from others; take the line out".to_owned(),
            };
            self.reader.problem_at("aspera.conf", fault);
        }
    }

    fn port(&mut self, section: Section<'_>, key: &str, example: &str) -> Option<u16> {
        let number = self.reader.number(section, key, example)?;
        match parse_port(&number.to_string()) {
            Ok(port) => Some(port),
            Err(error) => {
                self.bad_port(section, key, error, example);
                None
            }
        }
    }

    fn date(&mut self, section: Section<'_>, key: &str) -> Option<jiff::civil::Date> {
        let text = self.reader.text(section, key, "keep_22_until = \"2027-01-31\"")?;
        let date = text.parse().ok();
        if date.is_none() {
            self.reader
                .problem_at(&section.path(key), Fault::Date(text.to_owned()));
        }
        date
    }

    fn udp(&mut self, found: &Found<'_>) -> Option<PortRange> {
        let example = "udp = \"33001\"";
        let text = self.reader.text_or_number(found.section(), "udp", example)?;
        match text.parse() {
            Ok(range) => Some(range),
            Err(error) => {
                let example = "udp = \"33001\"   or   udp = \"33001-33100\"";
                self.bad_port(found.section(), "udp", error, example);
                None
            }
        }
    }

    fn bad_port(&mut self, section: Section<'_>, key: &str, error: PortError, example: &str) {
        let path = section.path(key);
        let fault = Fault::Port {
            error,
            example: example.to_owned(),
        };
        self.reader.problem_at(&path, fault);
    }

    fn http(&mut self, found: &Found<'_>) -> HttpPorts {
        HttpPorts {
            http: self.port(found.section(), "http", "http = 8080"),
            https: self.port(found.section(), "https", "https = 8443"),
        }
    }

    fn vlink(&mut self, found: &Found<'_>) -> Option<Vlink> {
        let section = found.section();
        section.keys().next()?;
        let mut vlink = Vlink::default();
        if let Some(udp) = self.port(section, "udp", "udp = 55001") {
            vlink.udp = udp;
        }
        if let Some(text) = self.reader.text(section, "group", "group = \"224.0.0.0/4\"") {
            match network(text, "224.0.0.0/4") {
                Ok(group) => vlink.group = group,
                Err(fault) => self.reader.problem_at("vlink.group", fault),
            }
        }
        Some(vlink)
    }

    fn networks(&mut self, section: Section<'_>, key: &str) -> Vec<IpNet> {
        let example = format!("{key} = [\"192.0.2.0/24\"]");
        let texts = self.reader.texts(section, key, &example);
        let mut networks = Vec::new();
        for (path, text) in texts.unwrap_or_default() {
            match network(text, "192.0.2.0/24") {
                Ok(net) => {
                    // What could not be read is left out, so the numbers of the rest may have changed.
                    self.reader
                        .stands_at(format!("{}[{}]", section.path(key), networks.len()), &path);
                    networks.push(net);
                }
                Err(fault) => self.reader.problem_at(&path, fault),
            }
        }
        networks
    }

    fn words(&mut self, section: Section<'_>, key: &str, example: &str) -> Vec<String> {
        let texts = self.reader.texts(section, key, example);
        texts
            .unwrap_or_default()
            .into_iter()
            .map(|(_, text)| text.to_owned())
            .collect()
    }
}

/// A network as written; whether its host bits are clear is a rule of [`Answers::check`].
fn network(text: &str, example: &str) -> Result<IpNet, Fault> {
    text.parse().map_err(|_| {
        // An address without a length is common enough to answer with the very text that would be right.
        let example = text
            .parse::<std::net::IpAddr>()
            .map_or_else(|_| example.to_owned(), |address| IpNet::from(address).to_string());
        Fault::Network {
            found: text.to_owned(),
            example,
        }
    })
}
