//! Why a URL goes where it goes: what `explain` prints.
