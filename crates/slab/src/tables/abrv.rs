//! Short numbers for long names.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use myelin_error::{Result, err};
use parking_lot::RwLock;

use crate::{Reads, Slab, Table, WriteCx};

/// What stands for a name in keys: be64 of a counter.
pub type Abrv = [u8; 8];

/// Names ↔ numbers that count from 0 and are never deleted. All in memory: a lookup costs a hash and a shared lock.
#[derive(Clone)]
pub struct SlabAbrv {
    byts2abrv: Table,
    abrv2byts: Table,
    names: Arc<RwLock<Names>>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Arc<[u8]>, u64, RandomState>,
    by_abrv: Vec<Option<Arc<[u8]>>>,
}

impl Names {
    fn add(&mut self, name: Arc<[u8]>, numb: u64) {
        let indx = numb as usize;
        if self.by_abrv.len() <= indx {
            self.by_abrv.resize(indx + 1, None);
        }
        self.by_abrv[indx] = Some(name.clone());
        self.by_name.insert(name, numb);
    }
}

impl SlabAbrv {
    /// Opens `<name>:byts2abrv` and `<name>:abrv2byts` and loads them.
    pub fn open(slab: &Slab, name: &str) -> Result<SlabAbrv> {
        let abrv = SlabAbrv {
            byts2abrv: slab.table(&format!("{name}:byts2abrv"), false)?,
            abrv2byts: slab.table(&format!("{name}:abrv2byts"), false)?,
            names: Arc::default(),
        };
        abrv.load(&slab.read_fresh()?)?;
        Ok(abrv)
    }

    /// The same from within a job.
    pub fn open_in(cx: &mut WriteCx, slab: &Slab, name: &str) -> Result<SlabAbrv> {
        let abrv = SlabAbrv {
            byts2abrv: cx.table(slab, &format!("{name}:byts2abrv"), false)?,
            abrv2byts: cx.table(slab, &format!("{name}:abrv2byts"), false)?,
            names: Arc::default(),
        };
        abrv.load(cx)?;
        Ok(abrv)
    }

    fn load(&self, txn: &impl Reads) -> Result<()> {
        let mut names = self.names.write();
        for row in txn.iter(self.abrv2byts)? {
            let (numb, name) = row?;
            let numb = numb.try_into().map(u64::from_be_bytes).ok().filter(|numb| *numb < u64::from(u32::MAX));
            let numb = numb.ok_or_else(|| err!("BadCoreStore", mesg = "A row of an abbreviation table is damaged."))?;
            names.add(name.into(), numb);
        }
        Ok(())
    }

    /// What stands for a name, if it ever was given.
    pub fn get(&self, name: &[u8]) -> Option<Abrv> {
        self.names.read().by_name.get(name).map(|numb| numb.to_be_bytes())
    }

    /// The name a number stands for.
    pub fn name_of(&self, abrv: Abrv) -> Option<Arc<[u8]>> {
        let indx = usize::try_from(u64::from_be_bytes(abrv)).ok()?;
        self.names.read().by_abrv.get(indx).cloned().flatten()
    }

    /// What stands for a name, given now if it was not.
    pub fn set(&self, cx: &mut WriteCx, name: &[u8]) -> Result<Abrv> {
        if let Some(abrv) = self.get(name) {
            return Ok(abrv);
        }
        // Only the writer adds, so that nobody else takes the number meanwhile.
        let numb = self.names.read().by_abrv.len() as u64;
        let abrv = numb.to_be_bytes();
        cx.put(self.byts2abrv, name, &abrv)?;
        cx.put(self.abrv2byts, &abrv, name)?;
        self.names.write().add(name.into(), numb);
        Ok(abrv)
    }

    /// How many numbers are given.
    pub fn len(&self) -> usize {
        self.names.read().by_name.len()
    }

    /// Whether none is given.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names and numbers, in the order of the numbers.
    pub fn items(&self) -> Vec<(Arc<[u8]>, Abrv)> {
        let names = self.names.read();
        let numbered = names.by_abrv.iter().enumerate();
        numbered.filter_map(|(numb, name)| Some((name.clone()?, (numb as u64).to_be_bytes()))).collect()
    }
}
