//! Who stands outside during a whole case and asks, four times a second and in both families, whether an sshd greets.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two questions.
const PACE: Duration = Duration::from_millis(250);
/// For how long nobody may be answered: a first packet that is lost is sent again after one and after three seconds, so
/// that a login which begins in a shorter silence comes about all the same.
pub const LONGEST: Duration = Duration::from_secs(3);
/// Shorter than the second after which a first packet is sent again: an answer tells of the moment of the question.
const CONNECT: Duration = Duration::from_millis(900);

/// The ports at which a login may come about.
const PORTS: [u16; 2] = [22, 33001];
/// Where the port that answered last gives no greeting for so long, the other one is asked as well.
const PROMPT: Duration = Duration::from_millis(350);

/// One question in one family: when, and who answered.
struct Question {
    at: Instant,
    address: IpAddr,
    /// Asked while nobody could answer: without power, or with the cable out.
    void: bool,
    answered: Option<u16>,
    open: bool,
}

#[derive(Default)]
struct Seen {
    questions: Mutex<Vec<Question>>,
    over: AtomicBool,
    blind: AtomicBool,
    asking: AtomicUsize,
}

impl Seen {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Question>) -> T) -> T {
        act(&mut self.questions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(self: &Arc<Self>, address: IpAddr) {
        let (number, last) = self.with(|questions| {
            let last = questions
                .iter()
                .rfind(|question| question.address == address && question.answered.is_some());
            let last = last.and_then(|question| question.answered);
            questions.push(Question {
                at: Instant::now(),
                address,
                void: self.blind.load(Ordering::SeqCst),
                answered: None,
                open: true,
            });
            (questions.len() - 1, last)
        });
        let seen = Arc::clone(self);
        seen.asking.fetch_add(1, Ordering::SeqCst);
        std::thread::spawn(move || {
            let answered = who_greets(address, last);
            let blind = seen.blind.load(Ordering::SeqCst);
            seen.with(|questions| {
                if let Some(question) = questions.get_mut(number) {
                    question.answered = answered;
                    question.void |= blind;
                    question.open = false;
                }
            });
            seen.asking.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// The port at which an sshd greets: first the one that did so last, and the other one soon after it.
fn who_greets(address: IpAddr, last: Option<u16>) -> Option<u16> {
    let (tell, told) = channel();
    let ask = |port| {
        let tell = tell.clone();
        std::thread::spawn(move || {
            let greeted = greets(SocketAddr::new(address, port), CONNECT);
            let _ = tell.send(greeted.then_some(port));
        });
    };
    let first = last.unwrap_or(PORTS[0]);
    ask(first);
    if let Ok(Some(port)) = told.recv_timeout(PROMPT) {
        return Some(port);
    }
    PORTS.into_iter().filter(|port| *port != first).for_each(ask);
    drop(tell);
    told.iter().flatten().next()
}

/// Asks until it is dropped.
pub struct Watch {
    seen: Arc<Seen>,
    addresses: Vec<IpAddr>,
    asks: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to ask at these addresses.
    pub fn begin(addresses: &[IpAddr]) -> Self {
        let seen = Arc::new(Seen::default());
        let (asking, of) = (Arc::clone(&seen), addresses.to_vec());
        let asks = std::thread::spawn(move || {
            let mut next = Instant::now();
            while !asking.over.load(Ordering::SeqCst) {
                for &address in &of {
                    asking.ask(address);
                }
                next += PACE;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Self {
            seen,
            addresses: addresses.to_vec(),
            asks: Some(asks),
        }
    }

    /// Nobody can answer from here on, or can again.
    pub fn blind(&self, blind: bool) {
        self.seen.blind.store(blind, Ordering::SeqCst);
        // What is asked already and answered later is void as well.
        if blind {
            self.seen.with(|questions| {
                for question in questions.iter_mut().filter(|question| question.open) {
                    question.void = true;
                }
            });
        }
    }

    /// Ends it: the longest time in which nobody was answered in one of the families, and how many questions there were.
    pub fn end(mut self) -> (Duration, usize) {
        self.seen.over.store(true, Ordering::SeqCst);
        if let Some(asks) = self.asks.take() {
            let _ = asks.join();
        }
        while self.seen.asking.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let longest = |questions: &mut Vec<Question>| {
            let of =
                |address: &IpAddr| silence(questions.iter().filter(|question| question.address == *address));
            (
                self.addresses.iter().map(of).max().unwrap_or_default(),
                questions.len(),
            )
        };
        self.seen.with(longest)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::SeqCst);
    }
}

/// The longest stretch of questions without an answer, as far as it is known: from the first to the last of them.
fn silence<'q>(questions: impl Iterator<Item = &'q Question>) -> Duration {
    let (mut longest, mut since) = (Duration::ZERO, None);
    for question in questions {
        if question.answered.is_some() || question.void {
            since = None;
            continue;
        }
        let first = *since.get_or_insert(question.at);
        longest = longest.max(question.at - first + PACE);
    }
    longest
}

/// Whether an sshd greets there.
pub fn greets(address: SocketAddr, patience: Duration) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, patience) else {
        return false;
    };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(3))).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting == *b"SSH-"
}

#[test]
fn a_door_that_is_shut_for_a_while_is_seen_and_a_blind_moment_is_not() {
    let now = Instant::now();
    let question = |number: u32, answered: bool, void| Question {
        at: now + PACE * number,
        address: IpAddr::from([127, 0, 0, 1]),
        void,
        answered: answered.then_some(22),
        open: false,
    };
    let asked = |answers: &str| {
        let all: Vec<Question> = (0..)
            .zip(answers.chars())
            .map(|(number, letter)| question(number, letter == '+', letter == ' '))
            .collect();
        silence(all.iter())
    };
    assert_eq!(asked("++++"), Duration::ZERO);
    assert_eq!(asked("+-+--+"), PACE * 2);
    assert_eq!(asked("+---    ---+"), PACE * 3);
    assert!(asked("+-------------+") > LONGEST);
}
