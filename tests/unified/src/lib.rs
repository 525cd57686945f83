//! Features of dependencies that local builds of the functions share with the tests.
