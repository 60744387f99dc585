//! The outcomes of all operations, in one type.

use std::fmt;

use handover::{Permit, RecvError, Sel2, Sel8, SendError, Want, Why, WriteError};

use super::ledger::Value;

pub(crate) enum Out<'a> {
    /// Of what carries no value.
    Done(Result<(), Why>),
    Left(Result<Why, Why>),
    /// With the values that come back.
    Sent(Result<(), (Why, Vec<Value>)>),
    Received(Result<Vec<Value>, Why>),
    /// The value was sent, and another one came.
    Exchanged(Value),
    Permitted(Result<Permit<'a, Value>, Why>),
}

impl fmt::Debug for Out<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = |values: &[Value]| values.iter().map(|value| value.0).collect::<Vec<_>>();
        match self {
            Self::Done(result) => write!(f, "{result:?}"),
            Self::Left(result) => write!(f, "{result:?}"),
            Self::Sent(Ok(())) => write!(f, "sent"),
            Self::Sent(Err((why, back))) => write!(f, "{why:?}, back {:?}", ids(back)),
            Self::Received(Ok(values)) => write!(f, "got {:?}", ids(values)),
            Self::Received(Err(why)) => write!(f, "{why:?}"),
            Self::Exchanged(value) => write!(f, "sent, and got #{}", value.0),
            Self::Permitted(Ok(_)) => write!(f, "a permit"),
            Self::Permitted(Err(why)) => write!(f, "{why:?}"),
        }
    }
}

pub(crate) trait IntoOut<'a> {
    fn into_out(self) -> Out<'a>;
}

impl<'a> IntoOut<'a> for Result<(), SendError<Value>> {
    fn into_out(self) -> Out<'a> {
        Out::Sent(self.map_err(|error| (error.why(), error.into_unsent().into_iter().collect())))
    }
}

impl<'a> IntoOut<'a> for Result<Value, SendError<Value>> {
    fn into_out(self) -> Out<'a> {
        match self {
            Ok(value) => Out::Exchanged(value),
            Err(error) => Out::Sent(Err((error.why(), error.into_unsent().into_iter().collect()))),
        }
    }
}

impl<'a, I: Iterator<Item = Value>> IntoOut<'a> for Result<(), WriteError<I>> {
    fn into_out(self) -> Out<'a> {
        Out::Sent(self.map_err(|error| (error.why(), error.into_rest().collect())))
    }
}

impl<'a> IntoOut<'a> for Result<Value, RecvError> {
    fn into_out(self) -> Out<'a> {
        Out::Received(self.map(|value| vec![value]).map_err(|error| error.why()))
    }
}

impl<'a> IntoOut<'a> for Result<Vec<Value>, RecvError> {
    fn into_out(self) -> Out<'a> {
        Out::Received(self.map_err(|error| error.why()))
    }
}

impl<'a> IntoOut<'a> for Result<(), RecvError> {
    fn into_out(self) -> Out<'a> {
        Out::Done(self.map_err(|error| error.why()))
    }
}

impl<'a> IntoOut<'a> for Result<Want, RecvError> {
    fn into_out(self) -> Out<'a> {
        Out::Done(self.map(|_| ()).map_err(|error| error.why()))
    }
}

impl<'a> IntoOut<'a> for Result<Why, RecvError> {
    fn into_out(self) -> Out<'a> {
        Out::Left(self.map_err(|error| error.why()))
    }
}

impl<'a> IntoOut<'a> for Result<Permit<'a, Value>, RecvError> {
    fn into_out(self) -> Out<'a> {
        Out::Permitted(self.map_err(|error| error.why()))
    }
}

/// An outcome, and the arm that has it: the group, and the place in the group.
pub(crate) trait IntoPlacedOut<'a> {
    fn into_placed(self) -> (usize, usize, Out<'a>);
}

impl<'a, O: IntoOut<'a>> IntoPlacedOut<'a> for (usize, O) {
    fn into_placed(self) -> (usize, usize, Out<'a>) {
        (0, self.0, self.1.into_out())
    }
}

macro_rules! placed {
    ($Sel:ident, $each:literal, $($Arm:ident $n:literal),+) => {
        impl<'a, $($Arm: IntoPlacedOut<'a>),+> IntoPlacedOut<'a> for $Sel<$($Arm),+> {
            fn into_placed(self) -> (usize, usize, Out<'a>) {
                match self {
                    $(Self::$Arm(out) => {
                        let (group, place, out) = out.into_placed();
                        ($n * $each + group, place, out)
                    })+
                }
            }
        }
    };
}

placed!(Sel2, 8, A 0, B 1);
placed!(Sel8, 1, A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
