//! What a kernel module says and does, read from its file alone.

mod branches;
mod budget;
mod callees;
mod code;
mod elf;
mod error;
mod escape;
mod flow;
mod image;
mod keepers;
mod kpatch;
mod lists;
mod livepatch;
mod modinfo;
mod operands;
mod rearm;
mod step;
mod switches;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeSet, HashSet};

pub use error::ImageError;
pub use flow::Reason;
use flow::{Flow, LifePhase};
use image::{Image, Place};
pub use livepatch::When;
use livepatch::{Callback, Replacement};
use rearm::Rearm;
pub use rearm::{Answer, Rearms};
use switches::Switches;

use model::{ESTIMATOR, printable::printable};

/// What ends the file of a signed module (`MODULE_SIG_STRING`, `include/linux/module_signature.h`).
const SIGNATURE: &[u8] = b"~Module signature appended~\n";

/// More than any module says of itself, and more than a note that tells builds apart holds.
const MOST_INFORMATION: usize = 1 << 20;
const LONGEST_NOTE: usize = 1 << 10;

/// How a module is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// From kernel headers: its `klp_patch` is in its data.
    Headers,
    /// By kpatch-build.
    KpatchBuild,
    /// In a way that is not known.
    Unknown,
}

/// A function that a module replaces.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Replaced {
    /// The module whose function it is; `vmlinux` for the kernel itself.
    pub object: String,
    /// Its name.
    pub function: String,
    /// Which of several functions of that name, from 1; 0: there is to be only one.
    #[serde(skip)]
    pub position: u64,
}

/// What is known of a module.
#[derive(Debug)]
pub struct Module {
    /// What it will be called when loaded, in the form for people; `None` where it has no name.
    pub name: Option<String>,
    /// A clause that says why the loaded module could not be addressed by that name.
    pub name_trouble: Option<&'static str>,
    /// The kernel it was built for, and that kernel's options.
    pub vermagic: Option<String>,
    /// Whether a signature is appended to it; by whom is not looked at.
    pub signed: bool,
    /// Whether it is marked as a livepatch.
    pub marked: bool,
    /// How it is made.
    pub layout: Layout,
    /// What it replaces; nothing where that cannot be read.
    pub replaces: Vec<Replaced>,
    /// Whether what replaces the estimator sets the timer again.
    pub rearms: Rearms,
    /// The conditions under which it does not, if it does so only on some paths.
    pub unset_when: Vec<Reason>,
    /// After how many jiffies.
    pub period_jiffies: Option<u64>,
    /// Whether an address of new code may be left behind.
    pub address_escapes: Answer,
    /// The same, if another livepatch replaces it, so that no callback of it runs.
    escapes_if_replaced: Answer,
    /// When code of it runs besides the new functions.
    pub callbacks: Vec<When>,
    /// Whether it is too big to be read as a whole.
    pub too_big: bool,
    /// The bytes of its `klp_patch`.
    switches: Switches,
    /// Its note that tells builds apart.
    pub build_id: Option<Vec<u8>>,
}

impl Module {
    /// Reads a module's file.
    ///
    /// # Errors
    ///
    /// When it is no module for x86-64, or is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let image = Image::parse(bytes)?;
        let required = |name: &'static str| image.section(name).ok_or(ImageError::Section(name));
        let this_module = required(image::THIS_MODULE)?.bytes;
        let info = required(".modinfo")?.bytes;
        if info.len() > MOST_INFORMATION {
            return Err(ImageError::TooMany("bytes in .modinfo"));
        }
        let say = |key: &str| modinfo::value(info, key).map(printable);
        let build_id = image
            .section(".note.gnu.build-id")
            .filter(|note| note.bytes.len() <= LONGEST_NOTE)
            .map(|note| note.bytes.to_vec());
        let name = modinfo::kept_name(this_module);
        if let Some(told) = modinfo::name(info).filter(|told| *told != name) {
            return Err(ImageError::Names(told.to_string(), name.to_string()));
        }
        let module = Self {
            name_trouble: name.trouble(),
            name: (!name.bytes().is_empty()).then(|| name.to_string()),
            vermagic: say("vermagic"),
            signed: bytes.ends_with(SIGNATURE),
            marked: say("livepatch").is_some(),
            layout: Layout::Unknown,
            replaces: Vec::new(),
            rearms: Rearms::Unknown,
            unset_when: Vec::new(),
            period_jiffies: None,
            address_escapes: Answer::Unknown,
            escapes_if_replaced: Answer::No,
            callbacks: Vec::new(),
            too_big: false,
            switches: Switches::default(),
            build_id,
        };
        let module = module.with_patch(&image);
        Ok(Self {
            too_big: image.budget.is_spent(),
            ..module
        })
    }

    fn with_patch(self, image: &Image<'_>) -> Self {
        if kpatch::is_one(image) {
            let layout = Layout::KpatchBuild;
            let callbacks = kpatch::callbacks(image);
            return match kpatch::replacements(image) {
                Some(found) => Self {
                    layout,
                    ..self.with_code(image, &found, &[], &callbacks)
                },
                None => Self { layout, ..self },
            };
        }
        let Some(patch) = livepatch::find(image) else {
            return self;
        };
        let switches = Switches::in_data(image, patch.place);
        Self {
            layout: Layout::Headers,
            switches,
            ..self
        }
        .with_code(image, &patch.replacements, &patch.slots, &patch.callbacks)
    }

    /// Adds what the code does. What would take too much work stays unknown.
    fn with_code(
        mut self,
        image: &Image<'_>,
        found: &[Replacement],
        slots: &[Place],
        callbacks: &[Callback],
    ) -> Self {
        let replaced = found.iter().map(|one| Replaced {
            object: one.object.clone(),
            function: one.function.clone(),
            position: one.position,
        });
        self.replaces = replaced.collect();
        self.callbacks = callbacks.iter().map(|one| one.when).collect();
        self.callbacks.sort_unstable();
        self.callbacks.dedup();
        let new: HashSet<Place> = found.iter().map(|one| one.code).collect();
        let slots: HashSet<Place> = slots.iter().copied().collect();
        self.address_escapes = escape::in_data(image, &new, &slots);
        let Some(mut flow) = Flow::new(image) else {
            return self.unread();
        };
        let estimator = found.iter().find(|one| one.function == ESTIMATOR);
        let rearm = match estimator.map(|one| flow.of(one.code, LifePhase::Enabled)) {
            Some(Some(outcome)) => Rearm::of(&outcome),
            Some(None) | None => Rearm::UNKNOWN,
        };
        self.rearms = rearm.rearms;
        self.period_jiffies = rearm.jiffies;
        self.unset_when = rearm.reasons;
        if follow_all(image, &mut flow, found, callbacks).is_none() {
            return self.unread();
        }
        self.switches.written_by(image, &flow);
        let escapes = |replaced| escape::by_code(image, &flow, &slots, replaced);
        self.address_escapes = escape::worse(self.address_escapes, escapes(false));
        self.escapes_if_replaced = match self.address_escapes {
            Answer::No => escapes(true),
            answer => answer,
        };
        self
    }

    /// Turns good answers into unknown ones if not all code was read.
    fn unread(self) -> Self {
        Self {
            address_escapes: escape::worse(self.address_escapes, Answer::Unknown),
            switches: Switches::default(),
            ..self
        }
    }

    /// The release of the kernel it was built for.
    #[must_use]
    pub fn built_for(&self) -> Option<&str> {
        self.vermagic.as_deref()?.split_ascii_whitespace().next()
    }

    /// Whether it replaces the estimator's function.
    #[must_use]
    pub fn replaces_estimator(&self) -> bool {
        self.replaces.iter().any(|one| one.function == ESTIMATOR)
    }

    /// Returns whether an address of new code may be left behind, as far as it matters whether it `replaces` others: one
    /// that does is to be replaced itself, and the kernel then runs no callback of it.
    #[must_use]
    pub fn escapes(&self, replaces: Option<bool>) -> Answer {
        if replaces == Some(true) {
            escape::worse(self.address_escapes, self.escapes_if_replaced)
        } else {
            self.address_escapes
        }
    }

    /// The switch at an offset into its `klp_patch`, as the kernel that it was built for has it.
    #[must_use]
    pub fn switch(&self, offset: u32) -> Option<bool> {
        self.switches.at(offset)
    }
}

/// Adds the functions whose addresses are in the module's data; `None` if that is too much work.
fn pointed_at(image: &Image<'_>, found: &mut BTreeSet<Place>) -> Option<()> {
    for section in image.sections.iter().filter(|one| one.variables) {
        for field in &section.relocations {
            image.budget.spend(1)?;
            found.extend(field.place().filter(|place| image.is_function(*place)));
        }
    }
    Some(())
}

/// Follows all code: the new functions, what runs when the module goes, and then what was not met yet. `None` where that
/// is too much work.
fn follow_all<'a>(
    image: &'a Image<'a>,
    flow: &mut Flow<'a>,
    found: &[Replacement],
    callbacks: &[Callback],
) -> Option<()> {
    for one in found {
        flow.of(one.code, LifePhase::Enabled)?;
    }
    for callback in callbacks {
        flow.of(callback.code, callback.when.phase())?;
    }
    if let Some(last) = livepatch::exit(image) {
        flow.of(last, LifePhase::Over)?;
    }
    for function in image.functions() {
        if !flow.knows(function.place) {
            flow.of(function.place, LifePhase::Enabled)?;
        }
    }
    // What is called by the module may also be called by the kernel, with whatever that has.
    let mut taken = flow.taken()?;
    pointed_at(image, &mut taken)?;
    let last = callbacks.iter().map(|one| one.code);
    let last: BTreeSet<Place> = last.chain(livepatch::exit(image)).collect();
    for function in taken.difference(&last) {
        flow.of(*function, LifePhase::Enabled)?;
    }
    let mut sections = image.sections.iter().enumerate();
    flow.broken |= !sections.all(|(number, one)| !one.code || code::is_whole(image, number));
    (!image.budget.is_spent()).then_some(())
}

#[cfg(any(test, feature = "samples"))]
impl Module {
    /// Switches something on in its `klp_patch`, for tests.
    pub fn set_switch(&mut self, offset: usize) {
        self.switches.set(offset);
    }
}
