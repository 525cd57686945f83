//! Tickets of install links.

use super::{
    keys,
    table::{Access, Delete, Put, ReadWrite, StoreError, Table, number, to_item},
};
use crate::domain::ticket::{TicketGrant, TicketHash};

/// Tickets of all environments.
#[derive(Clone, Debug)]
pub struct Tickets<A: Access = ReadWrite>(pub Table<A>);

impl Tickets {
    /// Stores a ticket. One write.
    pub async fn create(&self, hash: &TicketHash, grant: &TicketGrant) -> Result<(), StoreError> {
        let mut item = to_item("ticket", &keys::ticket(hash), grant, &[])?;
        item.insert("expiresAt".into(), number(grant.valid_until.seconds()));
        self.0.put(Put::new(item)).await?;
        Ok(())
    }

    /// Deletes a ticket. Returns false if another request has deleted it. One transaction, which
    /// succeeds if it is repeated because its response was lost.
    pub async fn redeem(&self, hash: &TicketHash) -> Result<bool, StoreError> {
        Ok(self.0.transact(vec![Delete::existing(&keys::ticket(hash)).into()]).await?.is_committed())
    }
}

impl<A: Access> Tickets<A> {
    /// Returns the grant of a ticket. One read.
    pub async fn get(&self, hash: &TicketHash) -> Result<Option<TicketGrant>, StoreError> {
        self.0.get(&keys::ticket(hash)).await
    }
}
