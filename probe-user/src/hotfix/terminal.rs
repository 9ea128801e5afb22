//! The person at the terminal, or the program behind the pipes, as the engine tells them and listens to them: standard
//! error, the screen where one is in the way of it, and the signals that ask to end.

use std::{
    cell::RefCell,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use anyhow::bail;
use signal_hook::{consts::SIGTSTP, flag};

use crate::{
    cli::ColorWhen,
    signals,
    watch::{self, Beginning, Stage},
    width,
};
use host::{netns_owners::NetnsOwners, time};
use livepatch::ports::{Probes, Progress};
use model::{Course, Notice, Output, Overview, Topic};
use monitor::mechanism::Mechanism;

/// Says one line on standard error. That it cannot be written must not end a change half way.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", width::for_stderr(text));
}

/// Tells a sentence on standard output, folded for a person.
pub fn print_folded(text: &str) {
    print(&width::for_stdout(text));
}

/// Tells on standard output, or on standard error where that cannot be written: what was done is done.
pub fn print(text: &str) {
    if let Err(error) = crate::output::print(|out| writeln!(out, "{text}")) {
        say(&format!(
            "warning: {error:#}; the report follows here, on standard error:"
        ));
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Standard error, and the screen.
pub struct Terminal {
    /// In which colours a measurement is shown; `None` where it is not shown on a screen.
    screen: Option<ColorWhen>,
    is_stopped: Arc<AtomicBool>,
    stage: RefCell<Option<OnStage>>,
}

/// The screen while it is in the way of standard error.
struct OnStage {
    stage: Stage,
    /// What was said and is not shown on it yet.
    heard: Vec<String>,
    /// All that was said on it: the screen goes, and it is said once more.
    said: Vec<String>,
}

impl Terminal {
    /// Returns standard error alone.
    pub fn new() -> Self {
        Self {
            screen: None,
            is_stopped: Arc::default(),
            stage: RefCell::new(None),
        }
    }

    /// Returns one that shows a measurement on a screen, where there is room for it.
    pub fn with_screen(color: ColorWhen) -> Self {
        Self {
            screen: Some(color).filter(|_| watch::is_at_terminal()),
            ..Self::new()
        }
    }
}

impl OnStage {
    /// Puts what was said on the screen, too.
    fn mark(&mut self) {
        for text in self.heard.drain(..) {
            let (Ok(start_ns), Ok(clock)) = (time::monotonic_ns(), time::clock(0)) else {
                continue;
            };
            self.stage.feed(&[Output::Notice(Notice {
                start_ns,
                at: clock.wall(start_ns),
                topic: Topic::Mark,
                text,
            })]);
        }
    }
}

impl Progress for Terminal {
    fn say(&self, text: &str) {
        match &mut *self.stage.borrow_mut() {
            Some(on_stage) => {
                on_stage.heard.push(text.to_owned());
                on_stage.said.push(text.to_owned());
            }
            None => say(text),
        }
    }

    fn report(&self, sentence: &str) {
        print_folded(sentence);
    }

    fn report_line(&self, line: &str) {
        print(line);
    }

    fn ask(&self, question: &str) -> anyhow::Result<()> {
        if !io::stdin().is_terminal() {
            bail!(
                "{question}? Nobody can be asked, as standard input is no terminal: say --yes to go on"
            );
        }
        let mut err = io::stderr().lock();
        let text = width::for_stderr(&format!("{question}? [y/N]"));
        let _ = write!(err, "{text} ").and_then(|()| err.flush());
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("nothing was changed, for the answer was no");
        }
        Ok(())
    }

    fn listen(&self) -> io::Result<()> {
        for signal in signals::ending()? {
            flag::register(signal, Arc::clone(&self.is_stopped))?;
        }
        // A stop by Ctrl-Z is not to keep the node half way.
        flag::register(SIGTSTP, Arc::default())?;
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    fn wait(&self, time: Duration) {
        match &mut *self.stage.borrow_mut() {
            Some(on_stage) => {
                if on_stage.stage.wait(time) {
                    self.is_stopped.store(true, Ordering::Relaxed);
                }
                on_stage.mark();
            }
            None => sleep(time),
        }
    }

    fn open(&self, root: &Path, probes: &dyn Probes) -> anyhow::Result<()> {
        let Some(color) = self.screen else {
            return Ok(());
        };
        let beginning = Beginning::new(
            root,
            probes.started_ns(),
            &time::clock(0)?,
            probes.root_netns(),
            Mechanism::Bpf,
        );
        let mut stage = Stage::open(&beginning, color)?;
        stage.name(probes.owners());
        stage.show(probes.overview()?);
        *self.stage.borrow_mut() = Some(OnStage {
            stage,
            heard: Vec::new(),
            said: Vec::new(),
        });
        Ok(())
    }

    fn is_shown(&self) -> bool {
        self.stage.borrow().is_some()
    }

    fn show(&self, outputs: &[Output], overview: Overview, names: Option<&NetnsOwners>) {
        if let Some(on_stage) = &mut *self.stage.borrow_mut() {
            on_stage.stage.feed(outputs);
            on_stage.stage.show(overview);
            if let Some(names) = names {
                on_stage.stage.name(names);
            }
        }
    }

    fn course(&self, course: Course) {
        if let Some(on_stage) = &mut *self.stage.borrow_mut() {
            on_stage.stage.set_course(course);
        }
    }

    fn close(&self) {
        if let Some(on_stage) = self.stage.take() {
            on_stage.stage.close();
            on_stage.said.iter().for_each(|text| say(text));
        }
    }
}
