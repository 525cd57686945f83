//! Serves the function that does background jobs after changes of users.

tenon::main!(invoke(functions::workers::user_jobs::run_user_jobs));
