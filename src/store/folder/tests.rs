use super::*;

#[test]
fn a_folder_is_had_by_one_and_says_by_whom() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("data");
    let first = Folder::take(&path).unwrap();
    match Folder::take(&path) {
        Err(FolderError::Locked(pid)) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    drop(first);
    assert!(Folder::take(&path).is_ok());
}

#[test]
fn a_copy_takes_no_room_for_what_is_not_written() {
    let temporary = tempfile::tempdir().unwrap();
    let (sparse, copy) = (temporary.path().join("sparse"), temporary.path().join("copy"));
    let mut from = File::options().read(true).write(true).create_new(true).open(&sparse).unwrap();
    from.set_len(64 << 20).unwrap();
    from.write_all_at(b"begin", 0).unwrap();
    from.write_all_at(b"middle", (20 << 20) + 7).unwrap();
    copy_sparse(&mut from, &mut File::create(&copy).unwrap()).unwrap();
    assert!(fs::read(&copy).unwrap() == fs::read(&sparse).unwrap());
    assert!(fs::metadata(&copy).unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn a_copy_takes_the_place_of_what_was_found_or_goes() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::take(temporary.path()).unwrap();
    fs::create_dir_all(folder.engine().join("blobs")).unwrap();
    fs::write(folder.engine().join("db"), "found").unwrap();
    fs::write(folder.engine().join("snap.1.generating"), "half").unwrap();
    fs::write(folder.engine().join("blobs/1"), "blob").unwrap();
    let found = folder.sums().unwrap();
    let copy = folder.copy().unwrap();
    assert_eq!(fs::read_to_string(copy.join("blobs/1")).unwrap(), "blob");
    assert!(!copy.join("snap.1.generating").exists());
    fs::write(copy.join("db"), "opened").unwrap();
    assert_eq!(folder.sums().unwrap(), found);
    // A process that ends here leaves the engine as it was found.
    folder.settle().unwrap();
    assert!(!copy.exists() && folder.sums().unwrap() == found);

    fs::write(folder.copy().unwrap().join("db"), "opened").unwrap();
    let kept = folder.take_copy(true).unwrap().unwrap();
    assert_eq!(fs::read_to_string(folder.engine().join("db")).unwrap(), "opened");
    assert_eq!(fs::read_to_string(kept.join("db")).unwrap(), "found");
    // One that ends between the two renames leaves a copy that is whole.
    fs::rename(folder.engine(), &copy).unwrap();
    folder.settle().unwrap();
    assert_eq!(fs::read_to_string(folder.engine().join("db")).unwrap(), "opened");
    fs::write(folder.copy().unwrap().join("db"), "again").unwrap();
    assert_eq!(folder.take_copy(false).unwrap(), None);
    assert_eq!(fs::read_to_string(folder.engine().join("db")).unwrap(), "again");
    let names = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().starts_with("engine")).count(), 2);
}
