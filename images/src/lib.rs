//! Every image of the demos as an OCI archive in `.cache/images`, rebuilt only when its inputs have changed. Does I/O.

mod architecture;
mod archive;
mod authorities;
mod binaries;
mod debian;
mod engine;
pub mod image_files;
mod inputs;
mod list;
mod sbom;
mod tree;

use std::cell::OnceCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::fs::FlockOperation;

use architecture::Architecture;
use engine::{Build, Engine};
use inputs::Inputs;
use list::{IMAGES, Image, Source};
use programs::repository;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which: chatd, chatd-operator, http-demo, redis, valkey, postgres, toolbox. None: all of them.
    pub names: Vec<String>,
    /// What builds: docker, podman or buildah. Unset: the first of them that works.
    #[arg(long, env = "IMAGE_ENGINE")]
    engine: Option<Engine>,
    /// Whether registries of public images are asked. `no`: binaries come from cargo here, servers from Debian's packages.
    #[arg(long, env = "IMAGE_PULL", default_value = "auto")]
    pull: engine::Pull,
    /// For which processors. Of another one than this machine's only our own images can be made: hack/arm64 says what that takes.
    #[arg(long, env = "IMAGE_ARCHITECTURE")]
    architecture: Option<Architecture>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let images = chosen(&arguments.names)?;
    let architecture = arguments.architecture.unwrap_or_else(Architecture::here);
    let maker = Maker::new(arguments.engine, arguments.pull, architecture)?;
    for image in images {
        maker.archive(image)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The archives of these images, made where they are missing or old; by their short names, all with none.
pub fn archives(names: &[&str]) -> Result<Vec<PathBuf>> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let maker = Maker::new(None, engine::Pull::Auto, Architecture::here())?;
    chosen(&names)?.into_iter().map(|image| maker.archive(image)).collect()
}

/// What an image's archive was made of, in a few characters; None if it has not been made.
pub fn identity(name: &str) -> Option<String> {
    let note = folder().join(format!("{name}.oci.inputs"));
    Some(std::fs::read_to_string(note).ok()?.get(..16)?.to_owned())
}

fn folder() -> PathBuf {
    repository().join(".cache/images")
}

fn chosen(names: &[String]) -> Result<Vec<&'static Image>> {
    if names.is_empty() {
        return Ok(IMAGES.iter().collect());
    }
    names
        .iter()
        .map(|name| match IMAGES.iter().find(|image| image.short == name) {
            Some(image) => Ok(image),
            None => {
                let known: Vec<&str> = IMAGES.iter().map(|image| image.short).collect();
                bail!("unknown image {name}: use one of {}", known.join(", "))
            }
        })
        .collect()
}

/// Where our binaries are compiled.
enum Compiled {
    /// Here, by cargo: the folder of what images hold.
    Here(PathBuf),
    /// By the Dockerfile, on its base image.
    InImage,
}

/// What makes images: what serves several of them is done once, and only if something is to be made.
struct Maker {
    /// Another process of this checkout would write into the same folders.
    _alone: File,
    root: PathBuf,
    folder: PathBuf,
    engine: OnceCell<Engine>,
    pull: engine::Pull,
    architecture: Architecture,
    compiled: OnceCell<Compiled>,
}

impl Maker {
    fn new(engine: Option<Engine>, pull: engine::Pull, architecture: Architecture) -> Result<Self> {
        let folder = folder();
        std::fs::create_dir_all(&folder)?;
        let alone = File::create(folder.join("lock"))?;
        rustix::fs::flock(&alone, FlockOperation::LockExclusive).context("waiting for another making of images")?;
        let engine = engine.map_or_else(OnceCell::new, OnceCell::from);
        Ok(Self { _alone: alone, root: repository(), folder, engine, pull, architecture, compiled: OnceCell::new() })
    }

    fn archive(&self, image: &Image) -> Result<PathBuf> {
        let begun = Instant::now();
        let foreign = if self.architecture.is_foreign() { format!("-{}", self.architecture) } else { String::new() };
        let archive = self.folder.join(format!("{}{foreign}.oci.tar", image.short));
        let made = match &image.source {
            Source::Ours(program) => self.ours(image, program.binary, &archive)?,
            Source::Public { .. } if self.architecture.is_foreign() => {
                bail!("{} is made of packages of this machine's architecture only", image.name)
            }
            Source::Public { reference, recipe } => self.public(image, reference, recipe, &archive)?,
        };
        let size = std::fs::metadata(&archive)?.len();
        #[allow(clippy::cast_precision_loss)] // for people
        let megabytes = size as f64 / 1e6;
        if image.limit.is_some_and(|limit| size > limit) {
            bail!("{} has {megabytes:.1} MB, more than its limit", archive.display());
        }
        let how = made.unwrap_or_else(|| "as before".to_owned());
        println!("==> image {:<26} {megabytes:5.1} MB {:6.1} s  {how}", image.name, begun.elapsed().as_secs_f64());
        Ok(archive)
    }

    /// Ours: an image is made if what it holds has changed, or, where the Dockerfile compiles it, what it is compiled from.
    fn ours(&self, image: &Image, binary: &str, archive: &Path) -> Result<Option<String>> {
        let dockerfile = self.root.join("Dockerfile");
        let mut inputs = Inputs::new();
        inputs.file(&dockerfile)?.text(image.name);
        let (context, contexts, where_compiled) = match self.compiled()? {
            Compiled::Here(files) => {
                inputs.tree(&files.join(binary))?;
                (None, vec![("files", files.clone())], "of binaries compiled here")
            }
            Compiled::InImage => {
                inputs.source(&self.root)?;
                (Some(self.root.as_path()), Vec::new(), "which compiled the binaries too")
            }
        };
        unless_same(archive, &inputs, || {
            let engine = self.engine()?;
            engine.build(&Build {
                state: &self.folder.join("engine"),
                dockerfile: &dockerfile,
                target: binary,
                name: image.name,
                architecture: self.architecture,
                context,
                contexts: &contexts,
                archive,
            })?;
            Ok(format!("by {engine}, {where_compiled}"))
        })
    }

    /// The base image is asked for first, since with it every machine compiles alike; without it cargo compiles here.
    fn compiled(&self) -> Result<&Compiled> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(compiled);
        }
        // A base image of another architecture would have to be emulated to compile.
        let compiled = if !self.architecture.is_foreign()
            && engine::may_pull(self.pull)
            && self.engine()?.has(&self.folder.join("engine"), list::RUST_IMAGE)?
        {
            Compiled::InImage
        } else {
            let begun = Instant::now();
            println!("==> static binaries by cargo (minutes the first time)");
            let files = binaries::folder(&self.root, self.architecture);
            binaries::make(&self.root, &files, self.architecture, &list::programs())?;
            println!("==> static binaries by cargo: done in {:.1} s", begun.elapsed().as_secs_f64());
            Compiled::Here(files)
        };
        Ok(self.compiled.get_or_init(|| compiled))
    }

    /// The public image under our name, or one from the system's packages. Made once: `rm -r .cache/images` asks again.
    fn public(
        &self,
        image: &Image,
        reference: &str,
        recipe: &debian::Recipe,
        archive: &Path,
    ) -> Result<Option<String>> {
        let folder = self.root.join("hack/images");
        let dockerfile = folder.join("Dockerfile");
        let mut inputs = Inputs::new();
        inputs.file(&dockerfile)?.text(reference).text(&format!("{recipe:?}"));
        for (source, _) in recipe.own_files {
            inputs.file(&folder.join(source))?;
        }
        unless_same(archive, &inputs, || {
            let engine = self.engine()?;
            let state = self.folder.join("engine");
            if engine::may_pull(self.pull) && engine.pull(&state, reference, image.name, archive)? {
                return Ok(format!("pulled: {reference}"));
            }
            let context = self.folder.join("trees").join(image.short);
            debian::make(recipe, &folder, &self.folder.join("packages"), &context)?;
            engine.build(&Build {
                state: &state,
                dockerfile: &dockerfile,
                target: image.short,
                name: image.name,
                architecture: self.architecture,
                context: None,
                contexts: &[(image.short, context.clone())],
                archive,
            })?;
            tree::remove(&context)?;
            Ok(format!("by {engine}, from packages"))
        })
    }

    fn engine(&self) -> Result<Engine> {
        match self.engine.get() {
            Some(engine) => Ok(*engine),
            None => engine::find().map(|engine| *self.engine.get_or_init(|| engine)),
        }
    }
}

/// Makes the archive unless it was made of the same inputs; says how if it did.
fn unless_same(archive: &Path, inputs: &Inputs, make: impl FnOnce() -> Result<String>) -> Result<Option<String>> {
    let note = archive.with_extension("inputs");
    let digest = inputs.digest();
    if archive.exists() && std::fs::read_to_string(&note).is_ok_and(|old| old == digest) {
        return Ok(None);
    }
    let how = make()?;
    std::fs::write(&note, digest)?;
    Ok(Some(how))
}
