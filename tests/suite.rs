mod postgres;
mod sources;
