//! Options of an iptables rule as the expressions that a packet can be compared with.

use serde_json::{Map, Value, json};

/// Matches that a stranger's packet may or may not pass are kept as this kind of expression.
fn opaque(module: &str) -> Value {
    json!({ "xt": { "type": "match", "name": module } })
}

/// Something that says nothing about which packets pass.
fn neutral(module: &str) -> Value {
    json!({ "neutral": module })
}

/// `{ "KEY": { .. } }`. The macro would copy what is put into it, and there may be many rules.
fn object<const COUNT: usize>(key: &str, fields: [(&str, Value); COUNT]) -> Value {
    let mut inner = Map::new();
    for (name, value) in fields {
        inner.insert(name.to_owned(), value);
    }
    only(key, Value::Object(inner))
}

/// `{ "KEY": VALUE }`
pub(super) fn only(key: &str, value: Value) -> Value {
    let mut outer = Map::new();
    outer.insert(key.to_owned(), value);
    Value::Object(outer)
}

fn meta(key: &str) -> Value {
    object("meta", [("key", key.into())])
}

/// What the options of one rule say.
#[derive(Debug, Default)]
pub struct Options {
    /// Conditions first, what is done last.
    pub expressions: Vec<Value>,
    /// The comment.
    pub comment: Option<String>,
    family: &'static str,
    protocol: Option<String>,
    module: String,
    target: Option<Value>,
    /// Whether the last word of `-m` and `-j` was `-j`: whose options follow.
    of_target: bool,
}

/// One option with what follows it.
struct Given<'w> {
    not: bool,
    name: &'w str,
    values: &'w [String],
}

impl Given<'_> {
    fn value(&self) -> &str {
        self.values.first().map(String::as_str).unwrap_or_default()
    }

    fn operator(&self) -> &'static str {
        if self.not { "!=" } else { "==" }
    }

    fn is(&self, left: Value, right: Value) -> Value {
        object(
            "match",
            [("op", self.operator().into()), ("left", left), ("right", right)],
        )
    }
}

impl Options {
    /// Reads the words after `-A CHAIN`.
    pub fn read(words: &[String], family: &str) -> Self {
        let mut options = Self {
            family: if family == "ip6" { "ip6" } else { "ip" },
            ..Self::default()
        };
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let not = word == "!" && words.get(at + 1).is_some();
            let name_at = if not { at + 1 } else { at };
            let rest = words.get(name_at + 1..).unwrap_or_default();
            let ends = |word: &String| word == "!" || option_like(word);
            let name = words.get(name_at).map(String::as_str).unwrap_or_default();
            // A comment or a log prefix may look like an option.
            let free_text = matches!(name, "--comment" | "--log-prefix" | "--nflog-prefix" | "--string");
            let count = if free_text {
                rest.len().min(1)
            } else {
                rest.iter().position(ends).unwrap_or(rest.len())
            };
            let values = rest.get(..count).unwrap_or_default();
            options.take(&Given { not, name, values });
            at = name_at + 1 + count;
        }
        let ours = options
            .comment
            .as_deref()
            .is_some_and(|comment| comment.starts_with("faspwall:"));
        if ours {
            // Our own accepts hold as long as they are there.
            options.expressions.retain(|e| *e != opaque("time"));
        }
        options.expressions.extend(options.target.take());
        options
    }

    fn push(&mut self, expression: Value) {
        self.expressions.push(expression);
    }

    fn payload(&self, field: &str) -> Value {
        let known = ["tcp", "udp", "sctp", "dccp", "udplite"];
        let protocol = [Some(self.module.as_str()), self.protocol.as_deref()]
            .into_iter()
            .flatten()
            .find(|name| known.contains(name))
            .unwrap_or("th");
        object(
            "payload",
            [("protocol", protocol.into()), ("field", field.into())],
        )
    }

    fn address(&self, field: &str) -> Value {
        object(
            "payload",
            [("protocol", self.family.into()), ("field", field.into())],
        )
    }

    fn take(&mut self, given: &Given<'_>) {
        let taken = self.general(given) || self.transport(given) || self.module(given);
        if !taken {
            let module = if self.module.is_empty() {
                given.name
            } else {
                &self.module
            };
            let unknown = opaque(module);
            if !self.expressions.contains(&unknown) {
                self.push(unknown);
            }
        }
    }

    /// What every rule may have without a module.
    fn general(&mut self, given: &Given<'_>) -> bool {
        match given.name {
            "-m" | "--match" => {
                given.value().clone_into(&mut self.module);
                self.of_target = false;
                self.unsaid();
            }
            "-j" | "--jump" => {
                self.target = Some(target(given.value()));
                self.of_target = true;
            }
            "-g" | "--goto" => self.target = Some(json!({ "goto": { "target": given.value() } })),
            "-p" | "--protocol" => self.take_protocol(given),
            "-s" | "--source" => {
                let left = self.address("saddr");
                self.push(given.is(left, network(given.value())));
            }
            "-d" | "--destination" => {
                let left = self.address("daddr");
                self.push(given.is(left, network(given.value())));
            }
            "-i" | "--in-interface" => self.interface("iifname", given),
            "-o" | "--out-interface" => self.interface("oifname", given),
            "-f" | "--fragment" => {
                let first = json!({ "payload": { "protocol": "ip", "field": "frag-off" } });
                let operator = if given.not { "==" } else { "!=" };
                self.push(json!({ "match": { "op": operator, "left": first, "right": 0 } }));
            }
            "-c" | "--set-counters" | "-4" | "-6" | "--ipv4" | "--ipv6" => {}
            name if self.of_target && name.starts_with("--") => self.target_option(given),
            _ => return false,
        }
        true
    }

    fn take_protocol(&mut self, given: &Given<'_>) {
        let name = given.value().to_lowercase();
        if !given.not {
            self.protocol = Some(name.clone());
        }
        if matches!(name.as_str(), "all" | "0") {
            return;
        }
        let right = name.parse::<u64>().map_or_else(|_| name.into(), Value::from);
        self.push(given.is(meta("l4proto"), right));
    }

    fn interface(&mut self, key: &str, given: &Given<'_>) {
        let name = given.value();
        let name = name
            .strip_suffix('+')
            .map_or_else(|| name.to_owned(), |beginning| format!("{beginning}*"));
        if name == "*" && !given.not {
            return;
        }
        self.push(given.is(meta(key), name.into()));
    }

    fn transport(&mut self, given: &Given<'_>) -> bool {
        match given.name {
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                let left = self.payload("dport");
                self.push(given.is(left, ports(given.value())));
            }
            "--sport" | "--source-port" | "--sports" | "--source-ports" => {
                let left = self.payload("sport");
                self.push(given.is(left, ports(given.value())));
            }
            "--syn" => {
                let left = json!({ "&": [self.payload("flags"), FIRST_PACKET] });
                self.push(given.is(left, json!(["syn"])));
            }
            "--tcp-flags" => {
                let mask = flag_names(given.value());
                let set = flag_names(given.values.get(1).map(String::as_str).unwrap_or_default());
                let left = json!({ "&": [self.payload("flags"), mask] });
                self.push(given.is(left, json!(set)));
            }
            _ => return false,
        }
        true
    }

    /// Options of the modules that are understood.
    fn module(&mut self, given: &Given<'_>) -> bool {
        let lower = |text: &str| text.to_lowercase();
        match (self.module.as_str(), given.name) {
            ("comment", "--comment") => {
                self.comment = Some(match self.comment.take() {
                    Some(before) => format!("{before} {}", given.value()),
                    None => given.value().to_owned(),
                });
            }
            ("conntrack", "--ctstate") | ("state", "--state") => {
                let left = json!({ "ct": { "key": "state" } });
                self.push(given.is(left, set(&lower(given.value()))));
            }
            ("conntrack", "--ctdir") => {
                let left = json!({ "ct": { "key": "direction" } });
                self.push(given.is(left, json!(lower(given.value()))));
            }
            ("addrtype", "--dst-type" | "--src-type") => {
                let field = if given.name == "--dst-type" {
                    "daddr"
                } else {
                    "saddr"
                };
                let left = json!({ "fib": { "result": "type", "flags": [field] } });
                self.push(given.is(left, set(&lower(given.value()))));
            }
            ("addrtype", "--limit-iface-in" | "--limit-iface-out") => {}
            ("pkttype", "--pkt-type") => {
                let left = json!({ "meta": { "key": "pkttype" } });
                let unicast = given.value().eq_ignore_ascii_case("unicast");
                let kind = if unicast {
                    "host".to_owned()
                } else {
                    lower(given.value())
                };
                self.push(given.is(left, json!(kind)));
            }
            ("iprange", "--src-range" | "--dst-range") => {
                let field = if given.name == "--src-range" {
                    "saddr"
                } else {
                    "daddr"
                };
                let left = self.address(field);
                let (low, high) = given
                    .value()
                    .split_once('-')
                    .unwrap_or((given.value(), given.value()));
                self.push(given.is(left, json!({ "range": [low, high] })));
            }
            ("set", "--match-set") => self.match_set(given),
            ("rpfilter", "--invert") => {
                self.expressions.retain(|e| *e != reverse_path(true));
                self.push(reverse_path(false));
            }
            ("rpfilter", "--loose" | "--validmark" | "--accept-local") => {}
            ("rt" | "frag" | "hbh" | "dst" | "ah" | "mh", _) => {}
            ("time", _) => {
                if !self.expressions.contains(&opaque("time")) {
                    self.push(opaque("time"));
                }
            }
            _ => return false,
        }
        true
    }

    /// What a module asks when it is named without any option.
    fn unsaid(&mut self) {
        match self.module.as_str() {
            "rpfilter" => self.push(reverse_path(true)),
            name @ ("rt" | "frag" | "hbh" | "dst" | "mh") => {
                let left = json!({ "exthdr": { "name": name } });
                self.push(json!({ "match": { "op": "==", "left": left, "right": true } }));
            }
            "socket" | "ipv6header" | "eui64" | "rateest" => {
                let unknown = opaque(&self.module);
                self.push(unknown);
            }
            _ => {}
        }
    }

    /// A set of addresses asks who sends the packet; one of ports or of own addresses may hold anything.
    fn match_set(&mut self, given: &Given<'_>) {
        let name = given.value();
        let sides = given.values.get(1).map(String::as_str).unwrap_or_default();
        if sides.split(',').any(|side| side == "src") {
            let left = self.address("saddr");
            self.push(given.is(left, json!(format!("@{name}"))));
        } else {
            self.push(opaque("set"));
        }
    }

    fn target_option(&mut self, given: &Given<'_>) {
        let Some(target) = &mut self.target else { return };
        let value = given.value();
        match given.name {
            "--to-ports" if target.get("redirect").is_some() => {
                *target = json!({ "redirect": { "port": ports(value) } });
            }
            "--to-destination" => *target = json!({ "dnat": { "addr": value } }),
            _ => {}
        }
    }
}

/// Names of flags as nft writes them.
const FIRST_PACKET: [&str; 4] = ["fin", "syn", "rst", "ack"];

/// Whether an answer would leave by the link that the packet came in by.
fn reverse_path(passes: bool) -> Value {
    let left = json!({ "fib": { "result": "check", "flags": ["saddr", "iif"] } });
    json!({ "match": { "op": "==", "left": left, "right": passes } })
}

fn option_like(word: &str) -> bool {
    word.strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic()))
}

/// `-j NAME`. Names that are neither verdicts nor known may be chains; the reader of the table knows.
fn target(name: &str) -> Value {
    match name {
        "ACCEPT" => only("accept", Value::Null),
        "DROP" => only("drop", Value::Null),
        "REJECT" => only("reject", Value::Null),
        "RETURN" => only("return", Value::Null),
        "QUEUE" | "NFQUEUE" => json!({ "queue": null }),
        "REDIRECT" => json!({ "redirect": null }),
        "DNAT" => json!({ "dnat": null }),
        "SNAT" | "MASQUERADE" | "NETMAP" | "RATEEST" | "IDLETIMER" | "LED" => neutral(name),
        _ => json!({ "xt": { "type": "target", "name": name } }),
    }
}

fn flag_names(text: &str) -> Vec<String> {
    match text {
        "ALL" => ["fin", "syn", "rst", "psh", "ack", "urg"]
            .map(str::to_owned)
            .to_vec(),
        "NONE" => Vec::new(),
        list => list.split(',').map(str::to_lowercase).collect(),
    }
}

/// A list of words, any of which will do.
fn set(list: &str) -> Value {
    let words: Vec<&str> = list.split(',').collect();
    json!({ "set": words })
}

/// `22`, `1000:2000`, `:1024`, `80,443,1000:2000`.
fn ports(text: &str) -> Value {
    let one = |text: &str| {
        if let Some((low, high)) = text.split_once(':') {
            let low = if low.is_empty() { Ok(0) } else { low.parse::<u64>() };
            let high = if high.is_empty() {
                Ok(65_535)
            } else {
                high.parse::<u64>()
            };
            return match (low, high) {
                (Ok(low), Ok(high)) => json!({ "range": [low, high] }),
                _ => json!({ "unknown": text }),
            };
        }
        text.parse::<u64>()
            .map_or_else(|_| json!({ "unknown": text }), Value::from)
    };
    if text.contains(',') {
        json!({ "set": text.split(',').map(one).collect::<Vec<Value>>() })
    } else {
        one(text)
    }
}

/// `10.0.0.0/8`, also with the mask written out.
fn network(text: &str) -> Value {
    let Some((address, mask)) = text.split_once('/') else {
        return json!(text);
    };
    let length = mask.parse::<u8>().ok().or_else(|| {
        let mask = mask.parse::<std::net::IpAddr>().ok()?;
        ipnet::ip_mask_to_prefix(mask).ok()
    });
    match length {
        Some(length) => object("prefix", [("addr", address.into()), ("len", length.into())]),
        None => json!({ "unknown": text }),
    }
}
