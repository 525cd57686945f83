//! Serves the function that erases the errors and events of users.

tenon::main!(invoke(functions::workers::erase_logs::erase_logs));
