//! PyTorch files that nobody writes by accident: each is refused soon, and without a panic.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::File;

/// Makes a PyTorch archive.
fn archive(pickle: &[u8], files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("data.pkl", pickle)].iter().chain(files) {
        writer
            .start_file(format!("archive/{name}"), stored)
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn text(text: &str) -> Vec<u8> {
    let length = (text.len() as u32).to_le_bytes();
    [b"X", &length[..], text.as_bytes()].concat()
}

fn error(archive: &[u8]) -> String {
    let read = || File::from_bytes(archive)?.quantizer(None);
    read().unwrap_err().to_string()
}

fn error_of_pickle(pickle: &[u8]) -> String {
    let error = error(&archive(pickle, &[]));
    assert!(error.len() < 500, "{} bytes of message", error.len());
    error
}

#[test]
fn pickles_that_nest_or_hold_themselves() {
    // A million tuples in one another, and as many lists.
    let tuples = [&b")"[..], &vec![0x85; 1 << 20], b"."].concat();
    assert!(error_of_pickle(&tuples).contains("values of more than"));
    let lists = [vec![b']'; 1 << 20], vec![b'a'; (1 << 20) - 1], vec![b'.']].concat();
    assert!(error_of_pickle(&lists).starts_with("no dict of tensors"));

    // A dict under a key of itself.
    let itself = [b"}q\0", &text("a")[..], b"h\0s."].concat();
    let found = error_of_pickle(&itself);
    assert!(found.contains(", 33 deep"), "{found}");

    // Twenty-one dicts, each twice in the one before: two million entries, at any depth.
    let mut doubled = b"}q\0".to_vec();
    for dict in 0..21u8 {
        doubled.push(b'}');
        for key in ["a", "b"] {
            doubled.extend([&text(key)[..], &[b'h', dict, b's']].concat());
        }
        doubled.extend([b'q', dict + 1]);
    }
    doubled.push(b'.');
    let found = error_of_pickle(&doubled);
    assert!(found.contains("1048577 tensors and dicts"), "{found}");

    // A long key that is copied for each entry.
    let key = text(&"k".repeat(1 << 20));
    let long = [b"}", &key[..], b"}", &text("a"), b"}ss."].concat();
    let found = error_of_pickle(&long);
    assert!(found.contains("a name of 1048576 bytes"), "{found}");
}

#[test]
fn values_that_are_no_tensors_are_passed_over() {
    let storage = [0u8; 48];
    let mut pickle = codebook([4, 3], [3, 1], 0, 12);
    pickle.pop();
    // More entries, and longer names, than tensors may have.
    pickle.push(b'(');
    for entry in 0..1_200_000u32 {
        pickle.extend([&b"J"[..], &entry.to_le_bytes(), b"N"].concat());
    }
    pickle.extend([&text(&"k".repeat(5000))[..], b"Nu."].concat());
    let whole = archive(&pickle, &[("data/0", &storage)]);
    let file = File::from_bytes(&whole).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["codebook"]);

    // A tensor without a dict around it has no name.
    let mut bare = codebook([4, 3], [3, 1], 0, 12);
    bare.drain(..1 + text("codebook").len());
    bare.drain(bare.len() - 2..bare.len() - 1);
    let found = error(&archive(&bare, &[("data/0", &storage)]));
    assert_eq!(found, "no tensor codebook, found a tensor without a name");
}

#[test]
fn pickles_that_are_larger_than_any_state_dict() {
    let values = [&[b'K', 0].repeat((1 << 22) + 1)[..], b"."].concat();
    let found = error_of_pickle(&values);
    assert!(found.contains("more than 4194304 values"), "{found}");
}

/// A tensor of 64 axes takes a kilobyte, and a call that makes it again takes some bytes.
#[test]
fn calls_that_make_large_tensors_again_and_again() {
    let axes = |size: u8| [&b"("[..], &[b'K', size].repeat(64), b"t"].concat();
    let arguments = [
        &b"(("[..],
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text(&"k".repeat(200)),
        &text("cpu"),
        b"K\x01tQK\0",
        &axes(1),
        &axes(0),
        b"tq\x01",
    ]
    .concat();
    let start = [&b"ctorch._utils\n_rebuild_tensor_v2\nq\0"[..], &arguments].concat();
    let calls = [start, b"h\0h\x01R".repeat(100_000), b".".to_vec()].concat();
    let found = error_of_pickle(&calls);
    assert!(found.contains("values of more than"), "{found}");

    // The same tensor under many names.
    let mut named = [
        &b"}("[..],
        &text("a"),
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        &arguments,
        b"Rq\x02",
    ]
    .concat();
    for name in 0..100_000u32 {
        named.extend([&b"J"[..], &name.to_le_bytes(), b"h\x02"].concat());
    }
    named.extend(b"u.");
    let found = error_of_pickle(&named);
    assert!(
        found.contains("the same tensors under more names than"),
        "{found}"
    );
}

/// PyTorch marks a view whose elements have the other sign by an argument more.
#[test]
fn views_that_change_their_values_are_refused_and_parameters_with_state_are_read() {
    let storage = [0u8; 48];
    let plain = codebook([4, 3], [3, 1], 0, 12);
    let with = |before: &[u8], after: &[u8]| {
        let at = plain
            .windows(4)
            .position(|window| window == b"tRs.")
            .unwrap();
        let start = 1 + text("codebook").len();
        let pickle = [&plain[..start], before, &plain[start..at], after].concat();
        archive(&pickle, &[("data/0", &storage)])
    };
    let metadata = [&b"\x89}}"[..], &text("neg"), b"\x88stRs."].concat();
    let found = error(&with(b"", &metadata));
    assert!(
        found.contains("a tensor that is a view with neg, expected a plain one"),
        "{found}"
    );
    // An empty dict, and none.
    for after in [&b"\x89}}tRs."[..], b"\x89}tRs."] {
        File::from_bytes(&with(b"", after))
            .unwrap()
            .quantizer(None)
            .unwrap();
    }
    for function in ["_rebuild_parameter", "_rebuild_parameter_with_state"] {
        let before = format!("ctorch._utils\n{function}\n(");
        let whole = with(before.as_bytes(), b"tR\x88}}tRs.");
        File::from_bytes(&whole).unwrap().quantizer(None).unwrap();
    }
}

#[test]
fn pickles_that_cannot_be_followed() {
    for (pickle, wanted) in [
        (&b""[..], "byte 0: 0 bytes left, expected 1"),
        (b"}", "byte 1: 0 bytes left, expected 1"),
        (
            b"X\xff\xff\xff\xffabc",
            "byte 5: 3 bytes left, expected 4294967295",
        ),
        (
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
            "0 bytes left, expected 18446744073709551615",
        ),
        (b".", "byte 1: the stack is empty"),
        (b"(0.", "byte 2: the stack is empty"),
        (b"t.", "byte 1: there is no mark"),
        (b"}(a", "byte 3: the stack is empty"),
        (b"}(Nu.", "byte 4: 1 keys and values, expected pairs"),
        (b"h\x07.", "byte 2: nothing is remembered there"),
        (b"cposix\nsystem", "byte 7: a line without an end"),
        (b"\xee.", "byte 1: instruction 0xee is not known here"),
    ] {
        let found = error_of_pickle(pickle);
        assert!(
            found.starts_with("PyTorch archive: data.pkl, byte"),
            "{found}"
        );
        assert!(found.contains(wanted), "{found}");
    }
    // Python would run a program here.
    let system = [b"cposix\nsystem\n", &text("rm -r /")[..], b"\x85R."].concat();
    assert!(error_of_pickle(&system).starts_with("no dict of tensors: save the state dict"));
}

/// Makes a state dict with a codebook of this shape, with these strides, offset and elements.
fn codebook(shape: [u32; 2], strides: [u32; 2], offset: u32, elements: u32) -> Vec<u8> {
    let number = |n: u32| [b"J", &n.to_le_bytes()[..]].concat();
    let pair = |[a, b]: [u32; 2]| [number(a), number(b), vec![0x86]].concat();
    [
        b"}",
        &text("codebook")[..],
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        &number(elements),
        b"tQ",
        &number(offset),
        &pair(shape),
        &pair(strides),
        b"tRs.",
    ]
    .concat()
}

#[test]
fn storages_that_do_not_hold_what_is_said() {
    let storage = [0u8; 48];
    let whole = archive(&codebook([4, 3], [3, 1], 0, 12), &[("data/0", &storage)]);
    File::from_bytes(&whole).unwrap().quantizer(None).unwrap();
    for (pickle, bytes, wanted) in [
        (
            codebook([4, 3], [3, 1], 0, 12),
            &storage[..44],
            "44 bytes, expected 12 elements of 4 bytes",
        ),
        (
            codebook([4, 3], [3, 1], 0, 11),
            &storage[..],
            "48 bytes, expected 11 elements of 4 bytes",
        ),
        (
            codebook([4, 3], [3, 1], 1, 12),
            &storage,
            "48 bytes, expected 52 bytes for shape [4, 3]",
        ),
        (
            codebook([4, 3], [4, 1], 0, 12),
            &storage,
            "expected 60 bytes for shape [4, 3], strides [4, 1]",
        ),
        // Vectors that share their elements could ask for more than there is.
        (
            codebook([4000, 4000], [0, 0], 0, 12),
            &storage,
            "expected one element for each of shape",
        ),
        (
            codebook([0x7fff_fffe, 8], [0x7fff_ffff; 2], 0x7fff_ffff, 12),
            &storage,
            "48 bytes, expected more than can be addressed for shape",
        ),
        (
            codebook([4, 3], [3, 0x8000_0000], 0, 12),
            &storage,
            "data.pkl, byte 131: a size of -2147483648",
        ),
    ] {
        let found = error(&archive(&pickle, &[("data/0", bytes)]));
        assert!(found.contains(wanted), "{found}");
    }
    let found = error(&archive(&codebook([4, 3], [3, 1], 0, 12), &[]));
    assert!(found.contains("archive/data/0: "), "{found}");
    let order: [(&str, &[u8]); 2] = [("byteorder", b"big"), ("data/0", &storage)];
    let found = error(&archive(&codebook([4, 3], [3, 1], 0, 12), &order));
    assert!(
        found.contains("byte order \"big\", expected little"),
        "{found}"
    );
}
