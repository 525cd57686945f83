//! `#[derive(Input)]`.

use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::{
    Data, DataEnum, DeriveInput, Error, Expr, Field, Fields, GenericArgument, Ident, LitStr, PathArguments, Result,
    Token, Type, Variant, ext::IdentExt, meta::ParseNestedMeta, punctuated::Punctuated, spanned::Spanned,
};

pub(crate) fn expand(item: &DeriveInput) -> Result<Tokens> {
    let data = match &item.data {
        Data::Struct(data) => data,
        Data::Enum(data) => return choice(&item.ident, data),
        Data::Union(_) => return Err(Error::new(item.span(), "Input can be derived for structs and enums")),
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new(item.span(), "Input requires named fields"));
    };
    let members = fields.named.iter().map(Member::parse).collect::<Result<Vec<_>>>()?;
    let checks = checks(item, &members)?;
    let reads = members.iter().map(Member::read);
    let names = members.iter().map(|member| member.name);
    let (name, (generics, arguments, bounds)) = (&item.ident, item.generics.split_for_impl());
    // Every member is read before the first `?`, so that the response names all errors.
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::tenon::http::Input for #name #arguments #bounds {
            fn read(__fields: &mut ::tenon::http::Fields<'_>) -> ::core::option::Option<Self> {
                #(#reads)*
                #(#checks)*
                ::core::option::Option::Some(Self { #(#names: #names?),* })
            }
        }
    })
}

/// Returns the name of a variant: that of `#[serde(rename = "name")]`, or its identifier in lower
/// case.
fn word(variant: &Variant) -> Result<String> {
    let mut word = variant.ident.to_string().to_lowercase();
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("rename") {
                return Err(meta.error("unknown attribute of a variant of an Input"));
            }
            word = meta.value()?.parse::<LitStr>()?.value();
            Ok(())
        })?;
    }
    Ok(word)
}

/// Returns the reader of an enum from the names of its variants.
fn choice(name: &Ident, data: &DataEnum) -> Result<Tokens> {
    if let Some(variant) = data.variants.iter().find(|variant| !matches!(variant.fields, Fields::Unit)) {
        return Err(Error::new(variant.span(), "a variant of an Input has no fields"));
    }
    let variants: Vec<&Ident> = data.variants.iter().map(|variant| &variant.ident).collect();
    let words = data.variants.iter().map(word).collect::<Result<Vec<_>>>()?;
    let quoted = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
    let detail = match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("must be {} or {last}", others.join(", ")),
        _ => return Err(Error::new(name.span(), "Input requires at least two variants")),
    };
    Ok(quote! {
        #[automatically_derived]
        impl ::tenon::http::FromJson for #name {
            fn from_json(
                value: &::serde_json::Value,
                location: &mut ::tenon::http::Location<'_>,
            ) -> ::core::option::Option<Self> {
                match value.as_str() {
                    #(::core::option::Option::Some(#words) => ::core::option::Option::Some(Self::#variants),)*
                    _ => location.reject(#detail),
                }
            }
        }
    })
}

/// Field of the struct and the member from which it is read.
struct Member<'a> {
    name: &'a Ident,
    member: String,
    kind: Kind<'a>,
    default: Option<Tokens>,
    max: Option<Expr>,
    min: Option<Expr>,
    unique: Option<LitStr>,
}

/// Type of a field, as far as it decides how the member is read.
enum Kind<'a> {
    Option(&'a Type),
    Patch,
    Other(&'a Type),
}

impl<'a> Member<'a> {
    fn parse(field: &'a Field) -> Result<Self> {
        let Some(name) = &field.ident else {
            return Err(Error::new(field.span(), "Input requires named fields"));
        };
        let kind = match generic(&field.ty) {
            Some((outer, inner)) if outer == "Option" => Kind::Option(inner),
            Some((outer, _)) if outer == "Patch" => Kind::Patch,
            _ => Kind::Other(&field.ty),
        };
        let mut member =
            Self { name, member: camel_case(name), kind, default: None, max: None, min: None, unique: None };
        for attribute in &field.attrs {
            if attribute.path().is_ident("input") {
                attribute.parse_nested_meta(|meta| member.set(&meta))?;
            } else if attribute.path().is_ident("serde") {
                attribute.parse_nested_meta(|meta| member.set_serde(&meta))?;
            }
        }
        member.validate(&field.ty)?;
        Ok(member)
    }

    /// Reads an attribute in `#[input(…)]`.
    fn set(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("default") {
            let given = meta.input.peek(Token![=]).then(|| meta.value()?.parse::<Expr>()).transpose()?;
            self.default =
                Some(given.map_or_else(|| quote!(::core::default::Default::default()), |given| quote!(#given)));
        } else if meta.path.is_ident("max") {
            self.max = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("min") {
            self.min = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("unique") {
            self.unique = Some(meta.value()?.parse()?);
        } else {
            return Err(meta.error("unknown attribute of an input field"));
        }
        Ok(())
    }

    /// Reads an attribute in `#[serde(…)]`, of which only `rename` matters here.
    fn set_serde(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("rename") {
            self.member = meta.value()?.parse::<LitStr>()?.value();
        } else if meta.input.peek(Token![=]) {
            meta.value()?.parse::<Expr>()?;
        }
        Ok(())
    }

    fn validate(&self, ty: &Type) -> Result<()> {
        let item = if let Kind::Option(inner) = self.kind { inner } else { ty };
        let is_list = generic(item).is_some_and(|(outer, _)| outer == "Vec");
        if self.unique.is_some() && !is_list {
            return Err(Error::new(ty.span(), "only the items of a list can be unique"));
        }
        if (is_list || self.min.is_some()) && self.max.is_none() {
            return Err(Error::new(ty.span(), "a list, and a field with a minimum, requires #[input(max = …)]"));
        }
        if self.default.is_some() && !matches!(self.kind, Kind::Other(_)) {
            return Err(Error::new(ty.span(), "an optional field has no default"));
        }
        Ok(())
    }

    /// Returns the statements that read the member.
    fn read(&self) -> Tokens {
        let Self { name, member, kind, default, max, min, unique } = self;
        let unique = unique.as_ref().map(|of_item| quote!(__fields.reject_repeated(#member, #of_item);));
        let optional = match max {
            None => quote!(__fields.optional(#member)),
            Some(max) => {
                let min = min.as_ref().map_or_else(|| quote!(0), |min| quote!(#min));
                quote!(__fields.bounded(#member, #min..=#max))
            }
        };
        let read = match (kind, default, max) {
            (Kind::Patch, ..) => quote!(let #name = __fields.patch(#member);),
            (Kind::Option(_), ..) => quote!(let #name = #optional;),
            // The type is stated, so that a check may take a list as a slice.
            (Kind::Other(ty), Some(default), _) => quote! {
                let #name: ::core::option::Option<#ty> = #optional.map(|given| given.unwrap_or_else(|| #default));
            },
            (Kind::Other(ty), None, Some(_)) => quote! {
                let #name = #optional;
                let #name: ::core::option::Option<#ty> = __fields.require(#member, #name);
            },
            (Kind::Other(_), None, None) => quote!(let #name = __fields.required(#member);),
        };
        quote!(#read #unique)
    }
}

/// Returns the calls of the functions in the struct's `check` attributes.
fn checks(item: &DeriveInput, members: &[Member<'_>]) -> Result<Vec<Tokens>> {
    let mut checks = Vec::new();
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("input")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("check") {
                return Err(meta.error("unknown attribute of an input"));
            }
            let content;
            syn::parenthesized!(content in meta.input);
            let function: syn::Path = content.parse()?;
            if content.is_empty() {
                checks.push(quote!(#function(__fields);));
                return Ok(());
            }
            content.parse::<Token![:]>()?;
            let fields = Punctuated::<Ident, Token![,]>::parse_terminated(&content)?;
            if let Some(field) = fields.iter().find(|field| !members.iter().any(|member| member.name == *field)) {
                return Err(Error::new(field.span(), "check of a field that does not exist"));
            }
            let values: Vec<Ident> = fields.iter().map(|field| format_ident!("valid_{field}")).collect();
            let fields = fields.iter();
            checks.push(quote! {
                if let (#(::core::option::Option::Some(#values),)*) = (#(&#fields,)*) {
                    #function(__fields, #(#values),*);
                }
            });
            Ok(())
        })?;
    }
    Ok(checks)
}

/// Returns the name of a generic type and its first argument, such as `Option` and `Email`.
fn generic(ty: &Type) -> Option<(&Ident, &Type)> {
    let Type::Path(path) = ty else {
        return None;
    };
    let segment = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some((&segment.ident, inner)),
        _ => None,
    }
}

fn camel_case(name: &Ident) -> String {
    let name = name.unraw().to_string();
    let mut words = name.trim_start_matches('_').split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &initial.into_iter().chain(letters).collect::<String>()
    })
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn member_names_are_in_camel_case() {
        for (field, member) in [
            (format_ident!("email"), "email"),
            (format_ident!("event_bus_name"), "eventBusName"),
            (format_ident!("_user_id"), "userId"),
            (format_ident!("r#type"), "type"),
        ] {
            assert_eq!(camel_case(&field), member);
        }
    }

    /// Returns the statements that read the fields.
    fn reads(item: DeriveInput) -> String {
        let Data::Struct(data) = &item.data else { panic!("not a struct") };
        let reads = data.fields.iter().map(|field| Member::parse(field).map(|member| member.read()));
        reads.map(|read| read.unwrap().to_string().replace(' ', "")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn type_decides_how_a_member_is_read() {
        let item = parse_quote! {
            struct Example {
                user_id: UserId,
                full_name: Option<FullName>,
                email: Patch<Email>,
                #[serde(rename = "type", default)]
                kind: Option<types::Kind>,
                #[input(default)]
                limit: Limit,
                #[input(default = true)]
                enabled: bool,
                #[input(max = MAX)]
                scopes: Vec<Scope>,
                #[input(max = 5, min = 1)]
                ids: Option<Vec<Id>>,
                #[input(max = 5, default)]
                names: Vec<Name>,
                #[input(max = 9)]
                skip: Option<usize>,
                #[input(max = 2, unique = "key")]
                forms: Option<Vec<Form>>,
            }
        };
        let expected = [
            r#"letuser_id=__fields.required("userId");"#,
            r#"letfull_name=__fields.optional("fullName");"#,
            r#"letemail=__fields.patch("email");"#,
            r#"letkind=__fields.optional("type");"#,
            r#"letlimit:::core::option::Option<Limit>=__fields.optional("limit").map(|given|given.unwrap_or_else(||::core::default::Default::default()));"#,
            r#"letenabled:::core::option::Option<bool>=__fields.optional("enabled").map(|given|given.unwrap_or_else(||true));"#,
            r#"letscopes=__fields.bounded("scopes",0..=MAX);letscopes:::core::option::Option<Vec<Scope>>=__fields.require("scopes",scopes);"#,
            r#"letids=__fields.bounded("ids",1..=5);"#,
            r#"letnames:::core::option::Option<Vec<Name>>=__fields.bounded("names",0..=5).map(|given|given.unwrap_or_else(||::core::default::Default::default()));"#,
            r#"letskip=__fields.bounded("skip",0..=9);"#,
            r#"letforms=__fields.bounded("forms",0..=2);__fields.reject_repeated("forms","key");"#,
        ];
        assert_eq!(reads(item), expected.join("\n"));
    }

    #[test]
    fn misuse_does_not_compile() {
        let items: [(DeriveInput, &str); 9] = [
            (
                parse_quote!(
                    enum Example {
                        A,
                        B(u8),
                    }
                ),
                "a variant of an Input has no fields",
            ),
            (
                parse_quote!(
                    struct Example(String);
                ),
                "Input requires named fields",
            ),
            (
                parse_quote!(
                    struct Example {
                        ids: Vec<Id>,
                    }
                ),
                "a list, and a field with a minimum, requires #[input(max = …)]",
            ),
            (
                parse_quote!(
                    struct Example {
                        #[input(min = 5)]
                        number: usize,
                    }
                ),
                "a list, and a field with a minimum, requires #[input(max = …)]",
            ),
            (
                parse_quote!(
                    struct Example {
                        #[input(default)]
                        id: Option<Id>,
                    }
                ),
                "an optional field has no default",
            ),
            (
                parse_quote!(
                    struct Example {
                        #[input(unique = "key")]
                        id: Id,
                    }
                ),
                "only the items of a list can be unique",
            ),
            (
                parse_quote!(
                    struct Example {
                        #[input(maximum = 5)]
                        id: Id,
                    }
                ),
                "unknown attribute of an input field",
            ),
            (
                parse_quote!(
                    #[input(check(compare: name))]
                    struct Example {
                        id: Id,
                    }
                ),
                "check of a field that does not exist",
            ),
            (
                parse_quote!(
                    #[input(strict)]
                    struct Example {
                        id: Id,
                    }
                ),
                "unknown attribute of an input",
            ),
        ];
        for (item, expected) in items {
            assert_eq!(expand(&item).unwrap_err().to_string(), expected);
        }
    }
}
