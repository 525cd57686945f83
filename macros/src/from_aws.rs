//! `#[derive(FromAws)]`: the state of a function.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Expr, Field, Fields, LitStr, Result, spanned::Spanned};

pub(crate) fn expand(item: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &item.data else {
        return Err(Error::new(item.span(), "FromAws can be derived for structs only"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new(item.span(), "FromAws needs named fields"));
    };
    let connections = connections(item)?;
    let values = fields.named.iter().map(value).collect::<Result<Vec<_>>>()?;
    let names = fields.named.iter().map(|field| &field.ident);
    let (name, (generics, types, bounds)) = (&item.ident, item.generics.split_for_impl());
    Ok(quote! {
        impl #generics ::tenon::start::FromAws for #name #types #bounds {
            async fn from_aws(
                aws: &::tenon::start::Aws,
            ) -> ::core::result::Result<Self, ::tenon::start::StartError> {
                #connections
                ::core::result::Result::Ok(Self { #(#names: #values),* })
            }
        }
    })
}

/// Returns the statement for `#[aws(connections = …)]`.
fn connections(item: &DeriveInput) -> Result<Option<TokenStream>> {
    let mut connections = None;
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("aws")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("connections") {
                return Err(meta.error("unknown attribute of a state"));
            }
            let number: Expr = meta.value()?.parse()?;
            connections = Some(quote!(aws.set_connections(#number);));
            Ok(())
        })?;
    }
    Ok(connections)
}

/// Returns the expression that creates a field.
fn value(field: &Field) -> Result<TokenStream> {
    let ty = &field.ty;
    let mut value = quote!(<#ty as ::tenon::start::FromAws>::from_aws(aws).await?);
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("aws")) {
        attribute.parse_nested_meta(|meta| {
            let variable: LitStr = meta.value()?.parse()?;
            value = if meta.path.is_ident("vault") {
                quote!(aws.vault(#variable)?)
            } else if meta.path.is_ident("lazy_vault") {
                quote!(aws.lazy_vault(#variable)?)
            } else if meta.path.is_ident("queue") {
                quote!(aws.queue(#variable)?)
            } else if meta.path.is_ident("setting") {
                quote!(::tenon::aws::setting(#variable)?)
            } else {
                return Err(meta.error("unknown attribute of a field of a state"));
            };
            Ok(())
        })?;
    }
    Ok(value)
}
