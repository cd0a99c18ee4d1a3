//! All tests that run the real thing: the binary, real databases, real files. One test binary, so that it links once.

mod project;

mod apply;
mod cli;
mod crash;
mod house;
mod html;
mod plan;
mod refusals;
