//! Without age: nobody can be named, so that nothing is ever encrypted or decrypted.

use std::convert::Infallible;
use std::io::{self, Read, Write};

use crate::error::BundleError;
use crate::oci::fault::{BundleFault, left_out};

/// For whom sensitive contents are encrypted: nobody, in this build.
pub struct Recipients(Infallible);

impl Recipients {
    /// Always an error: this build leaves encryption out.
    pub fn parse(_words: &[String]) -> Result<Self, BundleError> {
        Err(left_out("age"))
    }

    /// The recipients as they were written.
    pub fn words(&self) -> &[String] {
        match self.0 {}
    }

    pub(in crate::oci) fn encrypt<W: Write>(&self, _out: W) -> io::Result<Never<W>> {
        match self.0 {}
    }
}

/// What opens encrypted contents: nothing, in this build.
pub struct Identities(Infallible);

impl Identities {
    /// Always an error: this build leaves encryption out.
    pub fn parse(_text: &str) -> Result<Self, BundleError> {
        Err(left_out("age"))
    }

    pub(in crate::oci) fn decrypt<'r>(
        &self,
        _path: &str,
        _blob: impl Read + 'r,
    ) -> Result<Box<dyn Read + 'r>, BundleFault> {
        match self.0 {}
    }
}

/// A writer that there never is.
pub(in crate::oci) struct Never<W>(Infallible, std::marker::PhantomData<W>);

impl<W> Never<W> {
    pub(in crate::oci) fn finish(self) -> io::Result<W> {
        match self.0 {}
    }
}

impl<W> Write for Never<W> {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}
