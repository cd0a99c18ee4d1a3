//! All tests that run the real thing: the binary, real databases, real files. One test binary, so that it links once.

mod destinations;
