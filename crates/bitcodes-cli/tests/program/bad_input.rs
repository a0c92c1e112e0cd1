//! Tests of wrong calls and broken data: the error is one line, and nothing is written.

use std::fs;

use crate::place::Place;

#[test]
fn wrong_calls_end_with_2_and_name_the_value() {
    let place = Place::new();
    for (arguments, wanted) in [
        (
            "train --backend abacus",
            "'abacus' for '--backend <BACKEND>' [possible values: flex,",
        ),
        ("train --bits 0", "bits is 0, expected at least 1"),
        ("train --bits -1", "'-1' for '--bits <BITS>'"),
        ("train --bits 5000", "bits is 5000, expected at most 4096"),
        ("train --bits many", "'many' for '--bits <BITS>'"),
        ("train --epochs 0", "epochs is 0, expected at least 1"),
        (
            "train --batch-size 0",
            "batch size is 0, expected at least 1",
        ),
        (
            "train --reference --temperature 0",
            "temperature is 0, expected a finite number above 0",
        ),
        (
            "train --reference --temperature -2",
            "temperature is -2, expected a finite number above 0",
        ),
        (
            "train --reference --temperature NaN",
            "temperature is NaN, expected a finite number above 0",
        ),
        (
            "train --reference --temperature inf",
            "temperature is inf, expected a finite number above 0",
        ),
        (
            "train --learning-rate 0",
            "learning rate is 0, expected a number above 0",
        ),
        (
            "train --learning-rate nan",
            "learning rate is NaN, expected a number above 0",
        ),
        (
            "train --learning-rate 1.5",
            "learning rate is 1.5, expected a number above 0",
        ),
        ("train --seed -1", "'-1' for '--seed <SEED>'"),
        (
            "train --reference --temperature -inf",
            "temperature is -inf, expected a finite number above 0",
        ),
        (
            "train --reference --temperature 1e-50",
            "expected a finite number above 0, in the range of f32",
        ),
        (
            "train --learning-rate -1e-3",
            "learning rate is -0.001, expected a number above 0",
        ),
        (
            "train --epochs 2305843009213693952",
            "epochs is 2305843009213693952, expected at most 1000000000",
        ),
        ("train --wings 2", "unexpected argument '--wings'"),
        (
            "train --temprature 2",
            "'--temprature' found tip: a similar argument exists: '--temperature'",
        ),
        ("fly", "unrecognized subcommand 'fly'"),
    ] {
        let error = place.fail(2, arguments);
        assert!(error.contains(wanted), "{arguments}: {error}");
        assert_eq!(place.names(), [""; 0], "{arguments} wrote something");
    }
}

#[test]
fn broken_data_ends_with_1_and_names_the_file() {
    let place = Place::new();
    let images = "data/t10k-images-idx3-ubyte";
    let breakages: [(&str, &dyn Fn(), &str); 11] = [
        (
            "a missing file",
            &|| fs::remove_file(place.path(images)).unwrap(),
            "no such file",
        ),
        (
            "a truncated file",
            &|| {
                let bytes = fs::read(place.path(images)).unwrap();
                fs::write(place.path(images), &bytes[..bytes.len() - 5]).unwrap();
            },
            "251 bytes of data, expected 256",
        ),
        (
            "a truncated header",
            &|| fs::write(place.path(images), [0, 0, 8]).unwrap(),
            "ends after 3 bytes, expected a header of 16",
        ),
        (
            "labels for images",
            &|| place.write_idx(images, 0x801, &[4], &[0; 4]),
            "magic number is 0x00000801, expected 0x00000803",
        ),
        (
            "sizes that differ",
            &|| place.write_idx(images, 0x803, &[4, 4, 8], &[0; 128]),
            "(4, 8) pixels (height, width), expected (8, 8)",
        ),
        (
            "no whole patches",
            &|| place.write_idx(images, 0x803, &[4, 6, 8], &[0; 192]),
            "6 x 8 pixels, expected multiples of 4 up to 128",
        ),
        (
            "images that are too large",
            &|| place.write_idx(images, 0x803, &[4, 132, 8], &[0; 4 * 132 * 8]),
            "132 x 8 pixels, expected multiples of 4 up to 128",
        ),
        (
            "a header of images that are too large, without the images",
            &|| place.write_idx(images, 0x803, &[4, 4096, 4096], &[]),
            "4096 x 4096 pixels, expected multiples of 4 up to 128",
        ),
        (
            "a header of more images than fit into memory",
            &|| {
                place.write_idx(images, 0x803, &[1 << 25, 8, 8], &[]);
                place.write_idx("data/t10k-labels-idx1-ubyte", 0x801, &[1 << 25], &[]);
            },
            "sizes [33554432, 8, 8], expected at most 1073741824 bytes in all",
        ),
        (
            "fewer images than labels",
            &|| place.write_idx(images, 0x803, &[3, 8, 8], &[0; 192]),
            "4 labels, expected 3",
        ),
        (
            "no images",
            &|| place.write_idx(images, 0x803, &[0, 8, 8], &[]),
            "no images, expected at least 1",
        ),
    ];
    for (what, break_it, wanted) in breakages {
        place.write_data("data", 4, 8, 8);
        break_it();
        let error = place.fail(1, "train --data data --epochs 1");
        assert!(error.contains("data/t10k-"), "{what}: {error}");
        assert!(error.contains(wanted), "{what}: {error}");
        assert_eq!(place.names(), ["data"], "{what} wrote something");
    }
    let error = place.fail(1, "train --data nowhere");
    assert!(error.contains("nowhere/train-images-idx3-ubyte"), "{error}");
}
