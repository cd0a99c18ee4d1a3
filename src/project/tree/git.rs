//! The files of a commit, read from git's objects: nothing is checked out.

use std::path::{Path, PathBuf};

use git2::{ErrorClass, ErrorCode, ObjectType, Oid, Repository};

use super::{Fault, Tree};
use crate::diagnostic::{Error, Result, closest};
use crate::manifest::document::MAX_BYTES;

/// Links followed for one path; more are a circle.
const MAX_LINKS: usize = 8;
/// How git marks a link in a tree.
const LINK: i32 = 0o120_000;

/// A project as it is in a commit.
pub struct Commit {
    repository: Repository,
    /// The commit, 40 hex digits.
    pub id: String,
    root: Oid,
    /// Where the project is in the repository.
    prefix: PathBuf,
}

impl Commit {
    /// The commit that a project's work tree has in common with a reference (a branch, tag or commit): what has been
    /// changed here since. A reference without common history is taken itself.
    ///
    /// # Errors
    /// The folder is not in git, the reference is not known, or the objects cannot be read.
    pub fn common(folder: &Path, reference: &str) -> Result<Self> {
        let repository = Repository::discover(folder).map_err(|e| no_repository(folder, &e))?;
        let found = repository.revparse_single(reference).and_then(|object| object.peel_to_commit());
        let found = found.map_err(|_| unknown(&repository, reference))?.id();
        let head = repository.head().and_then(|head| head.peel_to_commit()).map(|commit| commit.id());
        let base = head.ok().and_then(|head| repository.merge_base(head, found).ok()).unwrap_or(found);
        let broken = |e: git2::Error| Error::failed(format!("cannot read commit {base}: {}", e.message()));
        let root = repository.find_commit(base).and_then(|commit| commit.tree()).map_err(broken)?.id();
        let prefix = match repository.workdir().and_then(|workdir| workdir.canonicalize().ok()) {
            Some(workdir) => folder.canonicalize().ok().and_then(|f| f.strip_prefix(workdir).ok().map(Path::to_owned)),
            None => None,
        };
        Ok(Self { id: base.to_string(), root, prefix: prefix.unwrap_or_default(), repository })
    }

    /// The object at a path, links followed within the project.
    fn find(&self, path: &str, links: usize) -> Result<(Oid, Option<ObjectType>), Fault> {
        let mut at: PathBuf = PathBuf::new();
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." if !at.pop() => return Err(Fault::Outside),
                ".." => continue,
                part => at.push(part),
            }
            let (id, kind, mode) = self.entry(&at)?;
            if mode != LINK {
                if rest.iter().all(|part| part.is_empty()) {
                    return Ok((id, kind));
                }
                continue;
            }
            if links == 0 {
                return Err(Fault::Failed("it is a circle of links".into()));
            }
            let blob = self.repository.find_blob(id).map_err(failed)?;
            let target = String::from_utf8_lossy(blob.content()).into_owned();
            if target.starts_with('/') {
                return Err(Fault::Outside);
            }
            at.pop();
            let rest: Vec<&str> = rest.iter().rev().map(String::as_str).collect();
            let whole = format!("{}/{target}/{}", at.display(), rest.join("/"));
            return self.find(&whole, links - 1);
        }
        if self.prefix.as_os_str().is_empty() {
            return Ok((self.root, Some(ObjectType::Tree)));
        }
        self.entry(Path::new("")).map(|(id, kind, _)| (id, kind))
    }

    /// What stands at a path of the project, without following links.
    fn entry(&self, path: &Path) -> Result<(Oid, Option<ObjectType>, i32), Fault> {
        let root = self.repository.find_tree(self.root).map_err(failed)?;
        let full = if path.as_os_str().is_empty() { self.prefix.clone() } else { self.prefix.join(path) };
        let entry = root.get_path(&full).map_err(|e| match e.code() {
            ErrorCode::NotFound => Fault::Missing,
            _ => failed(e),
        })?;
        Ok((entry.id(), entry.kind(), entry.filemode()))
    }
}

impl Tree for Commit {
    fn list(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let (id, kind) = match self.find(folder, MAX_LINKS) {
            Err(Fault::Missing) => return Ok(Vec::new()),
            found => found?,
        };
        if kind != Some(ObjectType::Tree) {
            return Ok(Vec::new());
        }
        let tree = self.repository.find_tree(id).map_err(failed)?;
        let files = tree.iter().filter(|entry| entry.kind() == Some(ObjectType::Blob));
        let mut names: Vec<String> = files.filter_map(|entry| Some(entry.name().ok()?.to_owned())).collect();
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Fault> {
        self.artifact(path, MAX_BYTES)
    }

    fn artifact(&self, path: &str, most: usize) -> Result<Vec<u8>, Fault> {
        // Outside of the repository there is no past.
        if path.starts_with('/') {
            return Err(Fault::Missing);
        }
        let (id, kind) = self.find(path, MAX_LINKS)?;
        if kind != Some(ObjectType::Blob) {
            return Err(Fault::Failed("it is not a file".into()));
        }
        let blob = self.repository.find_blob(id).map_err(failed)?;
        let content = blob.content();
        Ok(content.get(..most.saturating_add(1)).unwrap_or(content).to_vec())
    }
}

fn failed(error: git2::Error) -> Fault {
    Fault::Failed(error.message().to_owned())
}

fn no_repository(folder: &Path, error: &git2::Error) -> Error {
    if error.code() == ErrorCode::Owner || error.class() == ErrorClass::Config {
        return Error::failed_help(
            format!("git does not trust the repository around `{}`: {}", folder.display(), error.message()),
            format!("git config --global --add safe.directory {}", folder.display()),
        );
    }
    Error::failed_help(
        format!("`{}` is not in a git repository: there is nothing to compare with", folder.display()),
        "leave --against out, or run the command in a clone",
    )
}

fn unknown(repository: &Repository, reference: &str) -> Error {
    let names: Vec<String> = repository
        .references()
        .into_iter()
        .flatten()
        .filter_map(|found| found.ok()?.shorthand().ok().map(str::to_owned))
        .collect();
    let help = match closest(reference, names.iter().map(String::as_str)) {
        Some(guess) => format!("did you mean `{guess}`?"),
        None if repository.is_shallow() => {
            "this clone is shallow: fetch the whole history (in CI: `fetch-depth: 0`, or `GIT_DEPTH: 0`)".into()
        }
        None => format!("fetch it first, e.g. `git fetch origin {0}`, and name it `origin/{0}`", reference),
    };
    Error::failed_help(format!("git knows no `{reference}` to compare with"), help)
}

/// The commit that is checked out in the repository around a folder; `None` outside of one, or before its first commit.
pub fn commit(folder: &Path) -> Option<String> {
    let repository = Repository::discover(folder).ok()?;
    let commit = repository.head().ok()?.peel_to_commit().ok()?;
    Some(commit.id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with one commit of these files; a text that begins with `->` is a link.
    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init(folder.path()).unwrap();
        for (path, text) in files {
            let full = folder.path().join(path);
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            match text.strip_prefix("->") {
                Some(target) => std::os::unix::fs::symlink(target, full).unwrap(),
                None => std::fs::write(full, text).unwrap(),
            }
        }
        let mut index = repository.index().unwrap();
        index.add_all(["."], git2::IndexAddOption::DEFAULT, None).unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let who = git2::Signature::now("a", "a@example.com").unwrap();
        repository.commit(Some("HEAD"), &who, &who, "first", &tree, &[]).unwrap();
        folder
    }

    #[test]
    fn files_of_a_commit_are_read_without_a_checkout_and_links_stay_inside() {
        let folder = repository(&[
            ("shop/syncline.yaml", "name: shop"),
            ("shop/models/a.yaml", "name: a"),
            ("shop/models/b.yaml", "->a.yaml"),
            ("shop/models/out.yaml", "->../../secret.yaml"),
            ("shop/models/round.yaml", "->round.yaml"),
            ("shop/linked", "->models"),
            ("secret.yaml", "name: secret"),
        ]);
        std::fs::remove_dir_all(folder.path().join("shop/models")).unwrap();
        let commit = Commit::common(&folder.path().join("shop"), "HEAD").unwrap();
        let cases: [(&str, Result<&str, Fault>); 8] = [
            ("syncline.yaml", Ok("name: shop")),
            ("models/b.yaml", Ok("name: a")),
            ("linked/a.yaml", Ok("name: a")),
            ("models/../models/a.yaml", Ok("name: a")),
            ("models/out.yaml", Err(Fault::Outside)),
            ("../secret.yaml", Err(Fault::Outside)),
            ("models/none.yaml", Err(Fault::Missing)),
            ("models/round.yaml", Err(Fault::Failed("it is a circle of links".into()))),
        ];
        for (path, expected) in cases {
            assert_eq!(commit.read(path), expected.map(|text| text.as_bytes().to_vec()), "{path}");
        }
        assert_eq!(commit.list("models").unwrap(), ["a.yaml", "b.yaml", "out.yaml", "round.yaml"]);
        assert_eq!(commit.list("").unwrap(), ["linked", "syncline.yaml"]);
        assert_eq!(commit.list("nothing").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_there_is_said_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let Err(error) = Commit::common(folder.path(), "main") else { panic!("there is no repository") };
        assert!(error.to_string().contains("not in a git repository"), "{error}");
        let folder = repository(&[("syncline.yaml", "name: shop")]);
        let Err(error) = Commit::common(folder.path(), "nowhere") else { panic!("there is no such branch") };
        assert!(error.to_string().contains("git knows no `nowhere`"), "{error}");
        assert!(error.help().unwrap().contains("git fetch"), "{:?}", error.help());
    }
}
