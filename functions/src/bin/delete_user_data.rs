//! Serves the function that removes the data of deleted users.

tenon::main!(invoke(functions::workers::delete_user_data::delete_user_data));
