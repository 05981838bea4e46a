//! Registrations in the embedded store. They are few and asked for whenever the table changes, so all are in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Embedded, read_kind};
use crate::model::id::ChittyId;
use crate::model::name::ServiceKey;
use crate::model::registration::{NewRegistration, Registration};
use crate::model::time::Time;
use crate::store::commit::{Transaction, unreadable};
use crate::store::kv::Kv;
use crate::store::migration::m0002_identity_and_registry::{RegistrationRecord, kind};
use crate::store::migration::{RecordError, decode};
use crate::store::registration::{MAX_OF_ONE_OWNER, MAX_REGISTRATIONS, RegistrationStore};
use crate::store::{StoreError, key};

/// Every registration that is durable, by its name.
pub(super) type Known = RwLock<BTreeMap<ServiceKey, Arc<Registration>>>;

#[async_trait]
impl RegistrationStore for Embedded {
    async fn registrations(&self) -> Result<Vec<Arc<Registration>>, StoreError> {
        self.shared.kv()?;
        let known = self.registrations.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.values().map(Arc::clone).collect();
        all.sort_by(|a, b| (a.registered_at, &a.name).cmp(&(b.registered_at, &b.name)));
        Ok(all)
    }

    async fn register(&self, new: NewRegistration) -> Result<Arc<Registration>, StoreError> {
        let known = Arc::clone(&self.registrations);
        self.change("register", move |transaction| register(transaction, &known, new)).await
    }

    async fn renew(
        &self,
        owner: &ChittyId,
        name: &ServiceKey,
        ttl: Duration,
    ) -> Result<(Arc<Registration>, Time), StoreError> {
        let (known, owner, name) = (Arc::clone(&self.registrations), owner.clone(), name.clone());
        let change = move |transaction: &mut Transaction<'_>| {
            let before = stored(transaction, &owner, &name)?;
            let (now, ended) = (transaction.now(), before.expires_at);
            let after = Registration { updated_at: now, expires_at: now.after(ttl), ..before };
            Ok((replace(transaction, &known, after)?, ended))
        };
        self.change("renew", change).await
    }

    async fn amend(
        &self,
        owner: &ChittyId,
        name: &ServiceKey,
        members: Map<String, Value>,
    ) -> Result<Arc<Registration>, StoreError> {
        let (known, owner, name) = (Arc::clone(&self.registrations), owner.clone(), name.clone());
        let change = move |transaction: &mut Transaction<'_>| {
            let before = stored(transaction, &owner, &name)?;
            let damaged = |_| unreadable(RecordError::Damaged);
            let mut entry: Map<String, Value> = serde_json::from_str(&before.entry).map_err(damaged)?;
            entry.extend(members);
            let entry = serde_json::to_string(&entry).map_err(damaged)?;
            let after = Registration { entry: entry.into(), updated_at: transaction.now(), ..before };
            replace(transaction, &known, after)
        };
        self.change("amend", change).await
    }

    async fn unregister(&self, owner: Option<&ChittyId>, name: &ServiceKey) -> Result<(), StoreError> {
        let (known, owner, name) = (Arc::clone(&self.registrations), owner.cloned(), name.clone());
        let change = move |transaction: &mut Transaction<'_>| {
            let holder = match owner {
                Some(owner) => Some(owner),
                None => holder(transaction, &known, &name).map(|(owner, _)| owner),
            };
            let at = key::registration(&holder.ok_or(StoreError::NoSuchRegistration)?, &name);
            if transaction.record::<RegistrationRecord>(&at)?.is_none() {
                return Err(StoreError::NoSuchRegistration);
            }
            transaction.remove(&at)?;
            transaction.once_durable(move || {
                known.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
            });
            Ok(())
        };
        self.change("unregister", change).await
    }
}

fn register(
    transaction: &mut Transaction<'_>,
    known: &Arc<Known>,
    new: NewRegistration,
) -> Result<Arc<Registration>, StoreError> {
    let NewRegistration { name, owner, entry, ttl, listed } = new;
    let now = transaction.now();
    let mut registered_at = now;
    match holder(transaction, known, &name) {
        Some((holder, is_free)) if holder == owner => {
            if !is_free {
                registered_at = stored(transaction, &owner, &name)?.registered_at;
            }
            transaction.remove(&key::registration(&owner, &name))?;
        }
        Some((holder, true)) if !listed => transaction.remove(&key::registration(&holder, &name))?,
        Some(_) => return Err(StoreError::NameTaken),
        None => {}
    }
    check_count(transaction, known, &owner)?;
    let registration = Registration { name, owner, entry, registered_at, updated_at: now, expires_at: now.after(ttl) };
    put(transaction, known, registration)
}

/// Who has `name`, and whether another owner may take it: by what is durable, with what is about to be laid over it.
fn holder(transaction: &Transaction<'_>, known: &Known, name: &ServiceKey) -> Option<(ChittyId, bool)> {
    let durable = known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
    let mut holder = durable.map(|found| (found.owner.clone(), found.is_free(transaction.now())));
    for (at, kept) in transaction.pending(&[kind::REGISTRATION]) {
        let Some((owner, pending)) = key::registered(at) else { continue };
        if pending != name.as_str() {
            continue;
        }
        if kept {
            // Written a moment ago, in the same group: nobody's for the taking.
            holder = owner.parse().ok().map(|owner| (owner, false));
        } else if holder.as_ref().is_some_and(|(holder, _)| holder.as_str() == owner) {
            holder = None;
        }
    }
    holder
}

/// Whether there may be one more, of this owner and altogether.
fn check_count(transaction: &Transaction<'_>, known: &Known, owner: &ChittyId) -> Result<(), StoreError> {
    let (mut all, mut own) = {
        let known = known.read().unwrap_or_else(PoisonError::into_inner);
        (known.len(), known.values().filter(|one| one.owner == *owner).count())
    };
    for (at, kept) in transaction.pending(&[kind::REGISTRATION]) {
        let Some((of, name)) = key::registered(at) else { continue };
        let is_own = of == owner.as_str();
        let known = known.read().unwrap_or_else(PoisonError::into_inner);
        let was = known.get(name).is_some_and(|one| one.owner.as_str() == of);
        match (kept, was) {
            (true, false) => (all, own) = (all + 1, own + usize::from(is_own)),
            (false, true) => (all, own) = (all.saturating_sub(1), own.saturating_sub(usize::from(is_own))),
            _ => {}
        }
    }
    if own >= MAX_OF_ONE_OWNER {
        return Err(StoreError::TooManyRegistrations(MAX_OF_ONE_OWNER));
    }
    if all >= MAX_REGISTRATIONS {
        return Err(StoreError::TooManyRegistrations(MAX_REGISTRATIONS));
    }
    Ok(())
}

/// The owner's registration of this name.
fn stored(transaction: &mut Transaction<'_>, owner: &ChittyId, name: &ServiceKey) -> Result<Registration, StoreError> {
    let record = transaction.record::<RegistrationRecord>(&key::registration(owner, name))?;
    from_record(record.ok_or(StoreError::NoSuchRegistration)?).map_err(unreadable)
}

fn replace(
    transaction: &mut Transaction<'_>,
    known: &Arc<Known>,
    after: Registration,
) -> Result<Arc<Registration>, StoreError> {
    transaction.remove(&key::registration(&after.owner, &after.name))?;
    put(transaction, known, after)
}

fn put(
    transaction: &mut Transaction<'_>,
    known: &Arc<Known>,
    registration: Registration,
) -> Result<Arc<Registration>, StoreError> {
    transaction.insert(&key::registration(&registration.owner, &registration.name), &to_record(&registration))?;
    let registration = Arc::new(registration);
    let (known, kept) = (Arc::clone(known), Arc::clone(&registration));
    transaction.once_durable(move || {
        known.write().unwrap_or_else(PoisonError::into_inner).insert(kept.name.clone(), kept);
    });
    Ok(registration)
}

/// All registrations.
pub(super) fn load(kv: &dyn Kv) -> Result<BTreeMap<ServiceKey, Arc<Registration>>, StoreError> {
    let all = read_kind(kv, kind::REGISTRATION, |_, record| decode_registration(record))?;
    Ok(all.into_iter().map(|one| (one.name.clone(), Arc::new(one))).collect())
}

fn to_record(registration: &Registration) -> RegistrationRecord {
    RegistrationRecord {
        name: registration.name.to_string(),
        chitty_id: registration.owner.to_string(),
        entry: registration.entry.to_string(),
        registered_at: registration.registered_at.as_millis(),
        updated_at: registration.updated_at.as_millis(),
        expires_at: registration.expires_at.as_millis(),
    }
}

/// The registration in a record.
pub(super) fn decode_registration(record: &[u8]) -> Result<Registration, RecordError> {
    from_record(decode(record)?)
}

fn from_record(record: RegistrationRecord) -> Result<Registration, RecordError> {
    Ok(Registration {
        name: ServiceKey::parse(&record.name).map_err(|_| RecordError::Damaged)?,
        owner: record.chitty_id.parse().map_err(|_| RecordError::Damaged)?,
        entry: record.entry.into(),
        registered_at: Time::from_millis(record.registered_at),
        updated_at: Time::from_millis(record.updated_at),
        expires_at: Time::from_millis(record.expires_at),
    })
}

#[cfg(test)]
mod tests;
