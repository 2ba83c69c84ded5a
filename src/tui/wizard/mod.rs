//! The wizard: every page, which of them is shown, and what the world told. Pure: events go in, effects come out.

mod leave;
mod route;

use ratatui::Frame;

use self::route::{next_page, page_before};
use super::keymap::{self, Command};
use super::overlay::{Answer, Overlay};
use super::theme::Look;
use super::{Attempt, Effect, Event, Key, Nav, Page, PageId, Shared, Tone, frame, pages, words};
use crate::transaction::{Progress, Status, Trial};

pub use self::route::asks_about_22;

/// Every page, in the order of the steps.
pub const ALL_PAGES: [PageId; 13] = [
    PageId::Welcome,
    PageId::Role,
    PageId::Ssh,
    PageId::Legacy22,
    PageId::Options,
    PageId::Firewall,
    PageId::Preview,
    PageId::Rehearsal,
    PageId::Apply,
    PageId::Confirm,
    PageId::Done,
    PageId::Snapshots,
    PageId::Status,
];

/// The pages of the wizard, each with its state: an answer on a page that is left stays where it is.
pub type Pages = Vec<(PageId, Box<dyn Page>)>;

/// The model of the whole wizard.
pub struct Wizard {
    shared: Shared,
    pages: Pages,
    page: PageId,
    /// Pages to which Back leads, the latest last.
    behind: Vec<PageId>,
    overlay: Option<Overlay>,
    look: Look,
    size: (u16, u16),
    /// What was typed on the page for small screens while a countdown runs.
    typed: String,
    /// For how many milliseconds a good message has been on the screen.
    said_for: u64,
}

/// A good message gives the line back to the page after this many milliseconds, where time passes at all.
const SAID_FOR: u64 = 5_000;

impl Wizard {
    /// The wizard with all its pages, opened on `start`.
    pub fn new(shared: Shared, look: Look, start: PageId) -> Self {
        Self::with_pages(shared, look, start, pages::all())
    }

    /// The wizard with certain pages.
    pub fn with_pages(shared: Shared, look: Look, start: PageId, pages: Pages) -> Self {
        let mut wizard = Self {
            shared,
            pages,
            page: start,
            behind: Vec::new(),
            overlay: None,
            look,
            size: (frame::MIN_WIDTH, frame::MIN_HEIGHT),
            typed: String::new(),
            said_for: 0,
        };
        wizard.tell_page(&Event::Entered);
        wizard
    }

    /// What has to be done first; sent after the first picture, so that nothing delays it.
    pub fn start(&self) -> Vec<Effect> {
        // A running countdown is read before the host is looked at, which takes longer.
        let mut effects = self.arrival();
        effects.push(Effect::Detect);
        effects
    }

    /// The page that is shown.
    pub fn page(&self) -> PageId {
        self.page
    }

    /// What all pages share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What all pages share, for whoever goes on when the pages are left.
    pub fn into_shared(self) -> Shared {
        self.shared
    }

    /// After how many milliseconds the picture changes by itself; `None` when it does not.
    pub fn next_tick(&self) -> Option<u64> {
        if let Some(trial) = self.countdown() {
            return match (trial.left_ms, trial.left_ms % 1000) {
                (0, _) => None,
                (_, 0) => Some(1000),
                (_, rest) => Some(rest),
            };
        }
        let rehearses = matches!(self.shared.rehearsal, Some(Attempt::Running { .. }));
        if self.page == PageId::Apply || (self.page == PageId::Rehearsal && rehearses) {
            return Some(1000);
        }
        self.current().and_then(Page::next_tick)
    }

    /// Takes one event; returns what the world has to do, in order.
    pub fn update(&mut self, event: &Event) -> Vec<Effect> {
        match event {
            Event::Key(key) => self.key(*key),
            Event::Paste(_) => {
                if self.overlay.is_some() || self.too_small() {
                    return Vec::new();
                }
                self.shared.said = None;
                let nav = self.tell_page(event);
                self.follow(nav)
            }
            other => self.world(other),
        }
    }

    /// Draws the screen.
    pub fn view(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < frame::MIN_WIDTH || area.height < frame::MIN_HEIGHT {
            let countdown = self.countdown().map(|trial| frame::SmallCountdown {
                seconds: trial.left_ms.div_ceil(1000),
                typed: &self.typed,
            });
            let state = match self.page {
                PageId::Apply | PageId::Confirm => "A change is under way.",
                PageId::Done => "The change has ended, see the page.",
                _ => "Nothing has been changed.",
            };
            frame::too_small(frame, state, self.shared.said.as_ref(), countdown.as_ref());
        } else {
            self.view_page(frame);
        }
        self.look.apply(frame.buffer_mut());
    }

    fn view_page(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let Some(page) = self.current() else {
            return;
        };
        page.view(&self.shared, frame, frame::body(area));
        let (buttons, pressed) = page.buttons(&self.shared);
        frame::Surround {
            page: self.page,
            message: self.message(page),
            buttons: &buttons,
            pressed,
            focused: page.focused_button(),
            keys: keymap::line(self.page, area.width),
        }
        .view(&self.shared, frame);
        if let Some(overlay) = &self.overlay {
            overlay.view(frame);
        }
    }

    /// Line 22: what the world said last, until the next key; else what the page says.
    fn message(&self, page: &dyn Page) -> (Tone, String) {
        match &self.shared.said {
            Some(Ok(line)) => (Tone::Good, line.clone()),
            Some(Err(line)) => (Tone::Bad, line.clone()),
            None => page.message(&self.shared),
        }
    }

    fn current(&self) -> Option<&dyn Page> {
        self.pages
            .iter()
            .find(|(id, _)| *id == self.page)
            .map(|(_, page)| page.as_ref())
    }

    fn tell_page(&mut self, event: &Event) -> Option<Nav> {
        let Self {
            pages, page, shared, ..
        } = self;
        pages
            .iter_mut()
            .find(|(id, _)| id == page)
            .and_then(|(_, page)| page.update(event, shared))
    }

    fn too_small(&self) -> bool {
        self.size.0 < frame::MIN_WIDTH || self.size.1 < frame::MIN_HEIGHT
    }

    /// The trial whose time is on the screen.
    fn countdown(&self) -> Option<&Trial> {
        match self.page {
            PageId::Confirm => waiting(&self.shared),
            PageId::Status => self.shared.status.as_ref().and_then(|s| s.open.as_ref()),
            _ => None,
        }
    }

    fn key(&mut self, key: Key) -> Vec<Effect> {
        self.shared.said = None;
        match keymap::command(key) {
            Some(Command::Redraw) => return vec![Effect::Redraw],
            Some(Command::Suspend) => return vec![Effect::Suspend],
            Some(Command::Look) => {
                self.look = self.look.next();
                self.shared.said = Some(Ok(self.look.describe().to_owned()));
                return Vec::new();
            }
            _ => {}
        }
        if self.too_small() {
            return self.small_key(key);
        }
        if let Some(overlay) = &mut self.overlay {
            return match overlay.key(key, self.size) {
                Answer::Stay => Vec::new(),
                Answer::Close => {
                    self.overlay = None;
                    Vec::new()
                }
                Answer::Yes(nav) => {
                    self.overlay = None;
                    self.follow(Some(nav))
                }
            };
        }
        let in_text_field = self.current().is_some_and(Page::in_text_field);
        let key = keymap::canonical(key, self.page, in_text_field);
        match keymap::command(key) {
            Some(Command::Help) => {
                let about = self.current().map(Page::help).unwrap_or_default();
                let text = keymap::help(self.page, about).join("\n");
                self.overlay = Some(Overlay::text(format!("Help: {}", frame::title(self.page)), text));
                Vec::new()
            }
            Some(Command::Back) => self.press_back(),
            Some(Command::Quit) => self.quit(key),
            _ => {
                let nav = self.tell_page(&Event::Key(key));
                self.follow(nav)
            }
        }
    }

    /// Esc presses the Back or Close button, where there is one; elsewhere the page decides.
    fn press_back(&mut self) -> Vec<Effect> {
        let (buttons, _) = self
            .current()
            .map(|page| page.buttons(&self.shared))
            .unwrap_or_default();
        let back = buttons
            .iter()
            .find(|button| ["Back", "Close"].contains(&button.label));
        match back {
            Some(button) if button.enabled => self.follow(Some(Nav::Back)),
            Some(_) => Vec::new(),
            None => {
                let nav = self.tell_page(&Event::Key(Key::Esc));
                self.follow(nav)
            }
        }
    }

    /// Something other than a key: the shared state is brought up to date, then every page may look at it.
    fn world(&mut self, event: &Event) -> Vec<Effect> {
        let shared = &mut self.shared;
        match event {
            Event::Resize(width, height) => self.size = (*width, *height),
            Event::Tick(millis) => {
                pass_time(shared, *millis);
                self.said_for = self.said_for.saturating_add(*millis);
                if self.said_for >= SAID_FOR && matches!(shared.said, Some(Ok(_))) {
                    shared.said = None;
                }
            }
            Event::Detecting(facts) => shared.facts = facts.as_ref().clone(),
            Event::Detected(facts) => {
                shared.facts = facts.as_ref().clone();
                shared.detected = true;
            }
            // A preview of answers that were changed meanwhile is of no use: another one is on its way.
            Event::Previewed(preview) if preview.answers == shared.answers => {
                shared.preview = Some(preview.clone());
                shared.rehearsal = None;
            }
            // The rehearsal of a preview that is gone proves nothing.
            Event::Rehearsal(attempt) if shared.preview.is_some() => rehearsed(shared, attempt),
            Event::Status(status) => shared.status = Some(status.clone()),
            Event::Kept(kept) => shared.kept.clone_from(kept),
            Event::Said(line) => {
                shared.said = Some(Ok(line.clone()));
                self.said_for = 0;
            }
            Event::Failed(line) => {
                shared.said = Some(Err(line.clone()));
                self.explain(line);
            }
            _ => {}
        }
        let mut effects = match event {
            Event::Progress(progress) => self.progress(progress),
            Event::Status(status) if self.page == PageId::Confirm => self.found_open(status),
            _ => Vec::new(),
        };
        let mut asked = None;
        for (id, page) in &mut self.pages {
            let nav = page.update(event, &mut self.shared);
            if *id == self.page {
                asked = nav;
            }
        }
        effects.extend(self.follow(asked));
        effects
    }

    /// A failure that the message line cannot hold is shown in full; never over a countdown.
    fn explain(&mut self, line: &str) {
        let room = usize::from(self.size.0).saturating_sub(8);
        let long = line.contains('\n') || line.chars().count() > room;
        if long && self.overlay.is_none() && self.countdown().is_none() {
            self.overlay = Some(Overlay::text("It could not be done".to_owned(), line.to_owned()));
        }
    }

    /// The countdown of a change that another process began; without one the status tells what there is.
    fn found_open(&mut self, status: &Status) -> Vec<Effect> {
        match &status.open {
            _ if waiting(&self.shared).is_some() => Vec::new(),
            Some(trial) => self.progress(&Progress::Awaiting(Box::new(trial.clone()))),
            None => self.enter(PageId::Status),
        }
    }

    /// A running change leads from page to page by itself.
    fn progress(&mut self, progress: &Progress) -> Vec<Effect> {
        let page = match progress {
            Progress::Steps { .. } | Progress::Started { .. } | Progress::Finished { .. } => PageId::Apply,
            Progress::Awaiting(_) => PageId::Confirm,
            Progress::Committed(_) | Progress::RolledBack(_) | Progress::Failed { .. } => PageId::Done,
        };
        let list = &mut self.shared.progress;
        // News of the same trial replace the old ones, so that an hour of waiting does not fill the memory.
        if matches!(
            (list.last(), progress),
            (Some(Progress::Awaiting(_)), Progress::Awaiting(_))
        ) {
            list.pop();
        }
        list.push(progress.clone());
        let mut effects = Vec::new();
        if let Progress::Committed(outcome) = progress
            && words::forward(outcome, &self.shared.answers)
        {
            effects.push(Effect::Remember(
                Box::new(self.shared.answers.clone()),
                frame::title(page),
            ));
        }
        if page == self.page {
            return effects;
        }
        self.overlay = None;
        self.behind.clear();
        effects.extend(self.enter(page));
        effects
    }

    /// Shows a page and asks the world for what it needs.
    fn enter(&mut self, page: PageId) -> Vec<Effect> {
        self.page = page;
        self.typed.clear();
        // A page may look at the answers here; where it leads is asked only of keys.
        self.tell_page(&Event::Entered);
        let effects = self.arrival();
        for effect in &effects {
            self.begun(effect);
        }
        effects
    }

    /// What the operator sees of an effect before the world has answered it.
    fn begun(&mut self, effect: &Effect) {
        match effect {
            Effect::Preview(_) => self.shared.preview = None,
            Effect::Rehearse { .. } => {
                self.shared.rehearsal = Some(Attempt::Running {
                    stage: "making a copy of this host's firewall".to_owned(),
                    millis: 0,
                });
            }
            Effect::Detect => {
                self.shared.detected = false;
                self.shared.preview = None;
            }
            _ => {}
        }
    }

    /// What a page needs from the world when it is shown.
    fn arrival(&self) -> Vec<Effect> {
        match self.page {
            PageId::Preview => {
                let fresh = self
                    .shared
                    .preview
                    .as_ref()
                    .is_some_and(|preview| preview.answers == self.shared.answers);
                if fresh {
                    Vec::new()
                } else {
                    vec![Effect::Preview(Box::new(self.shared.answers.clone()))]
                }
            }
            PageId::Rehearsal if self.shared.rehearsal.is_none() => vec![Effect::Rehearse { sweep: false }],
            PageId::Confirm if waiting(&self.shared).is_some() => vec![Effect::FlushInput],
            // The program was started while a change is open: the status brings its countdown.
            PageId::Confirm => vec![Effect::FlushInput, Effect::Status],
            PageId::Status => vec![Effect::Status],
            PageId::Snapshots => vec![Effect::Snapshots],
            _ => Vec::new(),
        }
    }

    /// Does what a page asked for.
    fn follow(&mut self, nav: Option<Nav>) -> Vec<Effect> {
        match nav {
            None => Vec::new(),
            Some(Nav::Next) => {
                let Some(next) = next_page(self.page, &self.shared) else {
                    return Vec::new();
                };
                self.behind.push(self.page);
                let mut effects = self.enter(next);
                effects.push(Effect::Remember(
                    Box::new(self.shared.answers.clone()),
                    frame::title(next),
                ));
                effects
            }
            Some(Nav::Back) => match self.behind.pop().or_else(|| page_before(self.page, &self.shared)) {
                Some(page) => self.enter(page),
                None => Vec::new(),
            },
            Some(Nav::To(page)) => {
                self.behind.push(self.page);
                self.enter(page)
            }
            Some(Nav::Do(effect)) => self.perform(effect),
            Some(Nav::Ask(question)) => {
                self.overlay = Some(Overlay::ask(question));
                vec![Effect::FlushInput]
            }
            Some(Nav::Show { title, text }) => {
                self.overlay = Some(Overlay::text(title, text));
                Vec::new()
            }
        }
    }

    /// Hands an effect on; one that begins a change opens the page that shows it.
    fn perform(&mut self, effect: Effect) -> Vec<Effect> {
        let mut effects = Vec::new();
        match &effect {
            Effect::Apply | Effect::GoBack(_) => {
                self.shared.progress.clear();
                self.behind.clear();
                effects.extend(self.enter(PageId::Apply));
            }
            Effect::Quit(..) if frame::step(self.page).is_some() => effects.push(Effect::Remember(
                Box::new(self.shared.answers.clone()),
                frame::title(self.page),
            )),
            other => self.begun(other),
        }
        effects.push(effect);
        effects
    }
}

/// News of the rehearsal; the time that it runs is counted here.
fn rehearsed(shared: &mut Shared, attempt: &Attempt) {
    let before = shared.rehearsal.take();
    shared.rehearsal = Some(match (before, attempt) {
        (Some(Attempt::Running { millis, .. }), Attempt::Running { stage, .. }) => Attempt::Running {
            stage: stage.clone(),
            millis,
        },
        (_, attempt) => attempt.clone(),
    });
}

/// The live trial, if the running change waits for its confirmation.
pub fn waiting(shared: &Shared) -> Option<&Trial> {
    match shared.progress.last() {
        Some(Progress::Awaiting(trial)) => Some(trial),
        _ => None,
    }
}

/// Takes passed time off the countdowns; the world corrects them with the kernel's own timer.
fn pass_time(shared: &mut Shared, millis: u64) {
    if let Some(Attempt::Running { millis: running, .. }) = &mut shared.rehearsal {
        *running = running.saturating_add(millis);
    }
    if let Some(Progress::Awaiting(trial)) = shared.progress.last_mut() {
        trial.left_ms = trial.left_ms.saturating_sub(millis);
    }
    if let Some(trial) = shared.status.as_mut().and_then(|status| status.open.as_mut()) {
        trial.left_ms = trial.left_ms.saturating_sub(millis);
    }
}
