//! When changed files replace the certificate in use. Pure: what was read and the time are arguments.

use super::certificate::{CertificateError, Served, TlsFiles};

/// The files in use, and what was wrong with those that are not.
#[derive(Debug)]
pub struct Renewal {
    used: TlsFiles,
    not_after: i64,
    /// What was wrong at the last look, and whether that has been reported.
    wrong: Option<(CertificateError, bool)>,
}

/// What one look at the files leads to.
#[derive(Debug)]
pub enum Look {
    /// Nothing to do.
    Same,
    /// New connections are given this.
    Renewed(Served),
    /// To be reported and counted: the files cannot be used, and the old ones stay in use.
    Unusable(CertificateError),
    /// To be reported: the certificate in use has expired.
    Expired(CertificateError),
}

impl Renewal {
    /// `used`: what `served` was made of.
    pub fn new(used: TlsFiles, served: &Served) -> Self {
        Self { used, not_after: served.not_after, wrong: None }
    }

    /// Decides on what was read at `now` (Unix seconds).
    pub fn look(&mut self, read: Result<TlsFiles, CertificateError>, now: i64) -> Look {
        let wrong = match read {
            Ok(files) if files == self.used => {
                if now <= self.not_after {
                    self.wrong = None;
                    return Look::Same;
                }
                return match self.report(CertificateError::Expired(self.not_after), true) {
                    Some(error) => Look::Expired(error),
                    None => Look::Same,
                };
            }
            Ok(files) => match Served::new(&files).and_then(|served| served.check(now).map(|()| served)) {
                Ok(served) => {
                    *self = Self::new(files, &served);
                    return Look::Renewed(served);
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        // Two files do not change in one moment: only what is wrong at two looks is reported.
        self.report(wrong, false).map_or(Look::Same, Look::Unusable)
    }

    /// Each fault is reported once.
    fn report(&mut self, wrong: CertificateError, at_once: bool) -> Option<CertificateError> {
        let (again, reported) = match &self.wrong {
            Some((last, reported)) if *last == wrong => (true, *reported),
            _ => (false, false),
        };
        let due = !reported && (again || at_once);
        self.wrong = Some((wrong.clone(), reported || due));
        due.then_some(wrong)
    }
}
