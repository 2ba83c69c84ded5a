//! Inputs that are nearly right: the same ones in every run.

/// Longest input that is made by chance.
const LONGEST: usize = 4 * 1024;
/// Length of the texts that are made to take long.
const ENDLESS: usize = 32 * 1024;

/// What readers stumble over, wherever it stands.
const TOKENS: [&str; 34] = [
    "\n",
    "\r\n",
    "\t",
    " ",
    "\"",
    "'",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    "</",
    "/>",
    "<!--",
    "=",
    ":",
    ",",
    "#",
    "!",
    "-",
    "\0",
    "\x1b[",
    "\x1b[200~",
    "\x1c",
    "\u{202e}",
    "\u{fffd}",
    "0",
    "-1",
    "65536",
    "4294967296",
    "18446744073709551616",
    "::/0",
];

/// Makes inputs of others.
pub struct Mutator<'c> {
    corpus: &'c [Vec<u8>],
    state: u64,
}

impl<'c> Mutator<'c> {
    /// Of a corpus; the name decides which inputs come.
    pub fn new(name: &str, corpus: &'c [Vec<u8>]) -> Self {
        let state = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            corpus,
            state: state | 1,
        }
    }

    /// A number below the limit (xorshift).
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let limit = u64::try_from(limit.max(1)).expect("a number");
        usize::try_from(self.state % limit).expect("below a usize")
    }

    fn any(&mut self) -> &'c [u8] {
        let at = self.below(self.corpus.len());
        &self.corpus[at]
    }

    /// The next input.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.any().to_vec();
        for _ in 0..=self.below(6) {
            self.change(&mut input);
            input.truncate(LONGEST);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        match self.below(9) {
            0 => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(at..at, token.bytes());
            }
            1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 => {
                let end = (at + 1 + self.below(16)).min(input.len());
                input.drain(at.min(end)..end);
            }
            3 => input.truncate(at),
            4 => {
                let other = self.any();
                let from = self.below(other.len() + 1);
                let end = (from + 1 + self.below(64)).min(other.len());
                input.splice(at..at, other[from..end].iter().copied());
            }
            5 => self.lines(input),
            6 => self.number(input),
            7 => {
                let end = (at + 1 + self.below(32)).min(input.len());
                let piece = input[at.min(end)..end].to_vec();
                for _ in 0..=self.below(4) {
                    input.splice(at..at, piece.iter().copied());
                }
            }
            _ => {
                let end = (at + 1 + self.below(8)).min(input.len());
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(at.min(end)..end, token.bytes());
            }
        }
    }

    /// A line goes, comes twice, or changes its place.
    fn lines(&mut self, input: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = input
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        let at = self.below(lines.len());
        if let Some(line) = lines.get(at).cloned() {
            let to = self.below(lines.len());
            match self.below(3) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(to, line),
                _ => lines.swap(at, to),
            }
            *input = lines.concat();
        }
    }

    /// Another number stands where one stood.
    fn number(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let Some(from) = input
            .iter()
            .skip(at)
            .position(u8::is_ascii_digit)
            .map(|found| found + at)
        else {
            return;
        };
        let length = input[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let extremes = [
            "0",
            "-1",
            "22",
            "33001",
            "65535",
            "65536",
            "4294967296",
            "9223372036854775808",
            "1e999",
        ];
        let number = extremes[self.below(extremes.len())];
        input.splice(from..from + length, number.bytes());
    }

    /// Texts that a reader which looks back, or calls itself, never comes to an end with: one token over and over, and
    /// the middle of an input over and over.
    pub fn endless(&mut self) -> Vec<Vec<u8>> {
        let mut pieces: Vec<Vec<u8>> = TOKENS.iter().map(|token| token.as_bytes().to_vec()).collect();
        pieces.extend(
            [
                "<a>", "<a b=\"", "[[", "{\"a\":", "\\\"", "a ", "a=", "-A ", "*a\n", "\x1b[1;",
            ]
            .map(|piece| piece.as_bytes().to_vec()),
        );
        for _ in 0..12 {
            let input = self.any();
            let from = self.below(input.len() + 1);
            let end = (from + 1 + self.below(200)).min(input.len());
            pieces.push(input[from.min(end)..end].to_vec());
        }
        let mut found = Vec::new();
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            let base = self.any();
            let middle = self.below(base.len() + 1);
            let many = piece.repeat(ENDLESS / piece.len());
            found.push([&base[..middle], &many, &base[middle..]].concat());
        }
        found
    }
}
