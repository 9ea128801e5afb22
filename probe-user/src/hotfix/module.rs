//! What a kernel module says and does, read from its file alone.

mod code;
mod escape;
mod image;
mod kpatch;
mod livepatch;
mod modinfo;
mod period;
mod rearm;
#[cfg(test)]
pub mod tests;

pub use image::ImageError;
use image::{Image, Place};
use livepatch::Replacement;
pub use rearm::Answer;
use rearm::Rearm;

use crate::kernel::printable::printable;

/// The function that estimates, in `ip_vs` up to Linux 6.1.
pub const ESTIMATOR: &str = "estimation_timer";

/// What ends the file of a signed module (`MODULE_SIG_STRING`, `include/linux/module_signature.h`).
const SIGNATURE: &[u8] = b"~Module signature appended~\n";

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
    /// Why it could not be addressed by that name once it is loaded: a clause.
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
    pub rearms: Answer,
    /// After how many jiffies.
    pub period_jiffies: Option<u64>,
    /// Whether an address of new code may be left behind.
    pub address_escapes: Answer,
    /// The bytes of its `klp_patch`.
    patch: Vec<u8>,
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
        let this_module = required(livepatch::THIS_MODULE)?.bytes;
        let info = required(".modinfo")?.bytes;
        let say = |key: &str| modinfo::value(info, key).map(printable);
        let build_id = image
            .section(".note.gnu.build-id")
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
            rearms: Answer::Unknown,
            period_jiffies: None,
            address_escapes: Answer::Unknown,
            patch: Vec::new(),
            build_id,
        };
        Ok(module.with_patch(&image))
    }

    fn with_patch(self, image: &Image<'_>) -> Self {
        if kpatch::is_one(image) {
            let layout = Layout::KpatchBuild;
            return match kpatch::replacements(image) {
                Some(found) => Self {
                    layout,
                    ..self.with_replacements(image, &found, &[])
                },
                None => Self { layout, ..self },
            };
        }
        let Some(patch) = livepatch::find(image) else {
            return self;
        };
        let start = usize::try_from(patch.place.offset).unwrap_or(usize::MAX);
        let section = image.section_of(patch.place).map(|section| section.bytes);
        let bytes = section
            .and_then(|bytes| bytes.get(start..))
            .unwrap_or_default();
        let length = image
            .variable_at(patch.place)
            .map_or(0, |extent| extent.size);
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        Self {
            layout: Layout::Headers,
            patch: bytes.get(..length).unwrap_or_default().to_vec(),
            ..self.with_replacements(image, &patch.replacements, &patch.slots)
        }
    }

    fn with_replacements(self, image: &Image<'_>, found: &[Replacement], slots: &[Place]) -> Self {
        let code: Vec<Place> = found.iter().map(|one| one.code).collect();
        let estimator = found.iter().find(|one| one.function == ESTIMATOR);
        let rearm = estimator.map_or(Rearm::UNKNOWN, |one| rearm::of(image, one.code));
        let replaced = found.iter().map(|one| Replaced {
            object: one.object.clone(),
            function: one.function.clone(),
            position: one.position,
        });
        Self {
            replaces: replaced.collect(),
            rearms: rearm.rearms,
            period_jiffies: rearm.jiffies,
            address_escapes: escape::of(image, &code, slots),
            ..self
        }
    }

    /// The release of the kernel it was built for.
    pub fn built_for(&self) -> Option<&str> {
        self.vermagic.as_deref()?.split_ascii_whitespace().next()
    }

    /// Whether it replaces the estimator's function.
    pub fn replaces_estimator(&self) -> bool {
        self.replaces.iter().any(|one| one.function == ESTIMATOR)
    }

    /// The switch at an offset into its `klp_patch`, as the kernel that it was built for has it.
    pub fn switch(&self, offset: u32) -> Option<bool> {
        match self.patch.get(usize::try_from(offset).ok()?)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}
