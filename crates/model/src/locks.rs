//! Locks: properties, forms and types that may not be set any more.
//!
//! Two kinds share one flag: deprecation locks, which only fit what is deprecated, and the locks that guard a property
//! while the service removes its values.

use std::sync::Arc;

use myelin_error::{Result, err};

use crate::model::{Form, Model, Prop, TagProp};
use crate::types::Type;

impl Model {
    /// Locks or frees a deprecated form, property or type.
    ///
    /// # Errors
    /// `NoSuchProp` when there is nothing of that name which is deprecated.
    pub fn set_depr_lock(&mut self, name: &str, locked: bool) -> Result<()> {
        let prop = self.prop(name).filter(|prop| prop.deprecated).cloned();
        let typ = self.typ(name).filter(|typ| typ.is_deprecated()).cloned();
        if prop.is_none() && typ.is_none() {
            let mesg = format!("There is no deprecated form, property or type {name}.");
            return Err(err!("NoSuchProp", mesg = mesg, name = name));
        }
        if let Some(prop) = prop {
            self.lock_prop(&prop, locked);
        }
        if let Some(typ) = typ {
            self.lock_type(&typ, locked);
        }
        Ok(())
    }

    /// Applies a stored deprecation lock, whatever still has its name.
    pub fn load_depr_lock(&mut self, name: &str, locked: bool) {
        if let Some(prop) = self.prop(name).cloned() {
            self.lock_prop(&prop, locked);
        }
        if let Some(typ) = self.typ(name).cloned() {
            self.lock_type(&typ, locked);
        }
    }

    /// The deprecated forms and properties, and whether each is locked.
    pub fn depr_locks(&self) -> Vec<(Arc<str>, bool)> {
        let deprecated = self.props.values().filter(|prop| prop.deprecated && !prop.from_univ);
        deprecated.map(|prop| (prop.full.clone(), prop.locked)).collect()
    }

    /// Locks or frees a property (a form's name means the form).
    ///
    /// # Errors
    /// `NoSuchProp` when there is none.
    pub fn set_prop_locked(&mut self, full: &str, locked: bool) -> Result<()> {
        let prop = self.req_prop(full)?.clone();
        self.lock_prop(&prop, locked);
        Ok(())
    }

    /// Locks or frees a universal property, by its name with the dot, on every form.
    ///
    /// # Errors
    /// `NoSuchUniv` when there is none.
    pub fn set_univ_locked(&mut self, name: &str, locked: bool) -> Result<()> {
        self.req_univ(name)?;
        for prop in self.all_univs(name) {
            self.lock_prop(&prop, locked);
        }
        Ok(())
    }

    /// Locks or frees a tag property.
    ///
    /// # Errors
    /// `NoSuchTagProp` when there is none.
    pub fn set_tagprop_locked(&mut self, name: &str, locked: bool) -> Result<()> {
        let prop = TagProp { locked, ..TagProp::clone(self.req_tagprop(name)?) };
        self.tagprops.insert(prop.name.clone(), Arc::new(prop));
        Ok(())
    }

    /// Whether a type is locked.
    pub fn is_type_locked(&self, name: &str) -> bool {
        self.locked_types.contains(name)
    }

    fn lock_type(&mut self, typ: &Arc<Type>, locked: bool) {
        if locked {
            self.locked_types.insert(typ.name.clone());
        } else {
            self.locked_types.remove(&typ.name);
        }
    }

    fn lock_prop(&mut self, prop: &Arc<Prop>, locked: bool) {
        let prop = self.put_prop(Prop { locked, ..Prop::clone(prop) });
        if prop.is_univ {
            self.univs.insert(prop.full.clone(), prop);
            return;
        }
        let Some(form) = prop.form.as_deref().and_then(|form| self.forms.get(form)) else {
            return;
        };
        let mut form = Form::clone(form);
        if prop.is_form {
            form.locked = locked;
            form.prime = prop;
        } else {
            form.props.insert(prop.name.clone(), prop);
        }
        self.put_form(form);
    }
}
