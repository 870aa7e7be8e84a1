//! Where in a source each mutant belongs.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Arm, Block, Expr, ExprBinary, ExprMatch, ExprRepeat, ExprStruct, ExprUnary, ImplItemConst, ImplItemFn, ItemConst,
    ItemFn, ItemStatic, Signature, TraitItemFn, TypeArray,
};

use crate::{Genre, Mutant, Place};

/// What is woven in.
#[derive(Debug, Default)]
pub struct Found {
    /// Expressions that mutants replace, each by another one.
    pub others: BTreeMap<(usize, usize), Vec<(u32, String)>>,
    /// What mutants put in, by where.
    pub inserts: BTreeMap<usize, Vec<(u32, String)>>,
    /// A wider part of the source that the compiler may complain of instead.
    pub around: Vec<(u32, Range<usize>)>,
}

impl Found {
    pub fn has(&self, number: u32) -> bool {
        let all = self.others.values().chain(self.inserts.values());
        all.flatten().any(|(one, _)| *one == number)
    }
}

struct Finder<'a> {
    source: &'a str,
    /// By genre and by where their span begins.
    mutants: Vec<(&'a Mutant, Range<usize>)>,
    found: Found,
}

pub fn all(tree: &syn::File, source: &str, mutants: &[Mutant]) -> Found {
    let lines: Vec<usize> = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let offset = |place: &Place| {
        let line = lines.get(place.line - 1).copied().unwrap_or(source.len());
        let rest = &source[line..];
        line + rest.char_indices().nth(place.column - 1).map_or(rest.len(), |(at, _)| at)
    };
    let mutants = mutants.iter().map(|mutant| (mutant, offset(&mutant.span.start)..offset(&mutant.span.end))).collect();
    let mut finder = Finder { source, mutants, found: Found::default() };
    finder.visit_file(tree);
    finder.found
}

/// The `let` of a chain of conditions cannot stand in another expression.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl Finder<'_> {
    fn of(&self, genre: Genre, span: &Range<usize>) -> Vec<(u32, String, Range<usize>)> {
        let here = |(mutant, at): &&(&Mutant, Range<usize>)| {
            mutant.genre == genre && at.start >= span.start && at.end <= span.end
        };
        let mutants = self.mutants.iter().filter(here);
        mutants.map(|(mutant, at)| (mutant.number, mutant.replacement.clone(), at.clone())).collect()
    }

    /// The expression with its operator, or one of its fields, changed.
    fn changed(&mut self, genre: Genre, span: &Range<usize>, whole: Range<usize>) {
        for (number, replacement, mut at) in self.of(genre, span) {
            if genre == Genre::StructField && self.source[at.end..].starts_with(',') {
                at.end += 1;
            }
            let other =
                format!("{}{replacement}{}", &self.source[whole.start..at.start], &self.source[at.end..whole.end]);
            self.found.others.entry((whole.start, whole.end)).or_default().push((number, other));
        }
    }

    fn function(&mut self, signature: &Signature, block: &Block, whole: Range<usize>) {
        let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) else {
            return;
        };
        let body = first.span().byte_range().start..last.span().byte_range().end;
        for (number, replacement, at) in self.of(Genre::FnValue, &body) {
            if at.start == body.start && signature.constness.is_none() {
                let text = format!("if crate::broken::is({number}) {{ return {replacement}; }} ");
                self.found.inserts.entry(at.start).or_default().push((number, text));
                self.found.around.push((number, whole.clone()));
            }
        }
    }

    fn arm(&mut self, arm: &Arm, whole: &Range<usize>) {
        let span = arm.span().byte_range();
        let guard = arm.guard.as_ref().map(|(_, guard)| guard);
        let deletes = self.of(Genre::MatchArm, &span).into_iter().filter(|(_, _, at)| at.start == span.start);
        for (number, _, _) in deletes.collect::<Vec<_>>() {
            if let Some(guard) = guard {
                if !has_let(guard) {
                    let at = guard.span().byte_range();
                    self.found.others.entry((at.start, at.end)).or_default().push((number, "false".to_owned()));
                }
            } else {
                let end = arm.pat.span().byte_range().end;
                let text = format!(" if !crate::broken::is({number})");
                self.found.inserts.entry(end).or_default().push((number, text));
            }
            self.found.around.push((number, whole.clone()));
        }
        if let Some(guard) = guard.filter(|guard| !has_let(guard)) {
            let at = guard.span().byte_range();
            for (number, replacement, span) in self.of(Genre::MatchArmGuard, &at) {
                if span == at {
                    self.found.others.entry((at.start, at.end)).or_default().push((number, replacement));
                    self.found.around.push((number, whole.clone()));
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        if !has_let(&binary.left) && !has_let(&binary.right) {
            self.changed(Genre::BinaryOperator, &binary.op.span().byte_range(), binary.span().byte_range());
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast ExprUnary) {
        self.changed(Genre::UnaryOperator, &unary.op.span().byte_range(), unary.span().byte_range());
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_struct(&mut self, expression: &'ast ExprStruct) {
        for field in &expression.fields {
            self.changed(Genre::StructField, &field.span().byte_range(), expression.span().byte_range());
        }
        visit::visit_expr_struct(self, expression);
    }

    fn visit_expr_match(&mut self, expression: &'ast ExprMatch) {
        let whole = expression.span().byte_range();
        for arm in &expression.arms {
            self.arm(arm, &whole);
        }
        visit::visit_expr_match(self, expression);
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.function(&function.sig, &function.block, function.span().byte_range());
        if function.sig.constness.is_none() {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.function(&function.sig, &function.block, function.span().byte_range());
        if function.sig.constness.is_none() {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(block) = &function.default {
            self.function(&function.sig, block, function.span().byte_range());
        }
        visit::visit_trait_item_fn(self, function);
    }

    // What is known when it is compiled has no switch.
    fn visit_item_const(&mut self, _: &'ast ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast ImplItemConst) {}
    fn visit_type_array(&mut self, _: &'ast TypeArray) {}
    fn visit_expr_repeat(&mut self, repeat: &'ast ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }
}
