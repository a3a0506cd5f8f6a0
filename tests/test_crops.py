import numpy as np
import pytest

from pipeline.errors import ClipError
from pipeline.frames import DecodePool, FrameConfig, crops, frame_buffer
from pipeline.frames.crops import find_crops
from pipeline.frames.file_hashes import source_of, source_of_both
from pipeline.frames.requests import Decoded, DecodeJob, decode_job
from pipeline.pictures import PictureFolder
from pipeline.types import ClipFailed, Crops
from tests.picture_folders import BROKEN, cut_short, picture, write_folder
from tests.tiny_videos import numbers, texts, write_video


def face(number):
    """The crop of frame `number`: as grey as the frame, of a size of its own."""
    return picture(number, (10 + number, 14))


def faces(*frames, name="{}.png", first=1):
    return {name.format(number + first): face(number) for number in frames}


def shown(found):
    """For every sampled frame, the frame whose crop it has."""
    grey = [numbers(crop[None])[0] for crop in found.pictures]
    return [grey[place] if place >= 0 else None for place in found.place_U]


def job(tmp_path, clip="a", num_frames=4, crop_folder="faces"):
    return DecodeJob(
        path=tmp_path / clip, config=FrameConfig(num_frames=num_frames), face_path=tmp_path / crop_folder
    )


def decoded(*args, **options):
    answer = decode_job(job(*args, **options))
    assert isinstance(answer, Decoded), answer
    return answer


def refused(*args, **options):
    answer = decode_job(job(*args, **options))
    assert isinstance(answer, ClipFailed), answer
    return f"{answer.stage}: {answer.reason}"


@pytest.mark.parametrize("name", ["{}.png", "{:05d}.png", "00001_{:05d}.jpg", "2_aligned {}.webp"])
def test_a_crop_is_found_by_the_last_number_in_its_name(tmp_path, name):
    write_folder(tmp_path / "a", 30)
    write_folder(tmp_path / "faces", faces(*range(30), name=name))
    answer = decoded(tmp_path, num_frames=5)
    assert shown(answer.crops) == answer.frames.meta.index_U.tolist() == [3, 9, 15, 21, 27]
    assert answer.crops.found_U.all()
    assert [crop.shape for crop in answer.crops.pictures] == [(14, 10 + n, 3) for n in (3, 9, 15, 21, 27)]
    assert answer.crops.notes == ()


def test_a_crop_belongs_to_its_frame_also_where_frames_are_missing(tmp_path):
    frames = {f"{number}.png": picture(number) for number in range(30) if number % 3}
    write_folder(tmp_path / "a", frames)
    write_folder(tmp_path / "faces", faces(*range(30), first=0))
    answer = decoded(tmp_path, num_frames=6)
    assert shown(answer.crops) == numbers(answer.frames.rgb_UHWC)
    assert texts(answer.crops.notes) == ("10 face crops of no frame: 0.png, 3.png, 6.png and 7 more",)


def test_a_frame_without_a_crop_takes_the_nearest_and_is_not_found(tmp_path):
    write_folder(tmp_path / "a", 20)
    write_folder(tmp_path / "faces", faces(0, 7, 8, 13))
    answer = decoded(tmp_path, num_frames=4)
    assert answer.frames.meta.index_U.tolist() == [2, 7, 12, 17]
    assert shown(answer.crops) == [0, 7, 13, 13]
    assert answer.crops.found_U.tolist() == [False, True, False, False]
    assert len(answer.crops.pictures) == 3
    assert texts(answer.crops.notes) == ("3 sampled frames without a face crop of its own",)


def test_of_two_equally_near_crops_the_earlier_is_taken(tmp_path):
    write_folder(tmp_path / "a", 9)
    write_folder(tmp_path / "faces", faces(2, 6))
    assert shown(decoded(tmp_path, num_frames=1).crops) == [2]


def test_a_crop_that_does_not_decode_is_as_good_as_missing(tmp_path):
    write_folder(tmp_path / "a", 20)
    folder = write_folder(tmp_path / "faces", faces(*range(20)))
    cut_short(folder / "8.png")
    (folder / "13.png").write_bytes(BROKEN)
    answer = decoded(tmp_path, num_frames=4)
    assert shown(answer.crops) == [2, 6, 11, 17]
    assert answer.crops.found_U.tolist() == [True, False, False, True]
    assert texts(answer.crops.notes)[1:] == ("2 face crops did not decode: 8.png, 13.png",)


@pytest.mark.parametrize("there", ["no folder", "nothing in it", "all broken", "of other frames"])
def test_without_any_crop_there_is_none_and_no_error(tmp_path, there):
    write_folder(tmp_path / "a", 5)
    if there != "no folder":
        write_folder(tmp_path / "faces", faces(*(() if there == "nothing in it" else (0, 1)), first=1))
    for path in (tmp_path / "faces").glob("*"):
        if there == "all broken":
            cut_short(path)
        else:
            path.rename(path.with_stem("9" + path.stem))
    crops_of = decoded(tmp_path).crops
    assert crops_of.pictures == ()
    assert not crops_of.found_U.any()
    assert texts(crops_of.notes)[0] == {
        "no folder": "no directory of face crops 'faces'",
        "nothing in it": "no face crop in its directory",
    }.get(there, "4 sampled frames without a face crop of its own")


@pytest.mark.parametrize("first", [0, 1])
def test_crops_of_a_video_are_found_by_frame_number_when_there_is_one_per_frame(tmp_path, first):
    write_video(tmp_path / "a.mp4", 12)
    folder = write_folder(tmp_path / "faces", faces(*range(12), name="{:03d}.png", first=first))
    answer = decoded(tmp_path, "a.mp4")
    assert shown(answer.crops) == answer.frames.meta.index_U.tolist()
    assert answer.crops.found_U.all()
    (folder / f"{first + 5:03d}.png").unlink()
    named = f"00{first}.png, 00{first + 1}.png, 00{first + 2}.png and 8 more"
    assert refused(tmp_path, "a.mp4").startswith(
        f"decode: 11 face crops ({named}) for 12 frames of a video; crops of a video are found by number, so "
        "there must be one per frame, numbered from 0 or from 1."
    )


def test_as_many_crops_with_other_numbers_are_no_crops_of_a_video(tmp_path):
    write_video(tmp_path / "a.mp4", 6)
    write_folder(tmp_path / "faces", faces(*range(6), first=2))
    assert refused(tmp_path, "a.mp4").startswith(
        "decode: 6 face crops (2.png, 3.png, 4.png and 3 more) for 6 frames"
    )
    write_folder(tmp_path / "none", 0)
    assert decoded(tmp_path, "a.mp4", crop_folder="none").crops.pictures == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("02.png", "two {} are number 2: 02.png, 2.png; each num"),
        ("mask_2.png", "{} of 2 series of names, such as"),
    ],
)
@pytest.mark.parametrize(("folder", "kind"), [("faces", "face crops"), ("a", "images")])
def test_names_that_do_not_give_one_crop_or_frame_a_number_are_refused(tmp_path, folder, kind, name, reason):
    write_folder(tmp_path / "a", 5)
    write_folder(tmp_path / "faces", faces(*range(5)))
    write_folder(tmp_path / folder, {name: picture(1)})
    assert refused(tmp_path).startswith(f"open: {reason.format(kind)}")


def test_crops_of_a_part_of_a_video_are_refused(tmp_path):
    write_video(tmp_path / "a.mp4", 6)
    write_folder(tmp_path / "faces", faces(*range(6)))
    answer = decode_job(
        DecodeJob(
            path=tmp_path / "a.mp4",
            config=FrameConfig(num_frames=2),
            end_seconds=0.3,
            face_path=tmp_path / "faces",
        )
    )
    assert answer.reason.startswith("start_seconds or end_seconds with a directory of images")


def test_pixels_of_crops_are_bounded(tmp_path, monkeypatch):
    write_folder(tmp_path / "a", 5)
    write_folder(tmp_path / "faces", faces(*range(5)))
    clip = decoded(tmp_path)
    folder = PictureFolder.at(tmp_path / "faces")
    frame_numbers = range(1, 6)
    monkeypatch.setattr(frame_buffer, "MAX_RGB_BYTES", sum(crop.nbytes for crop in clip.crops.pictures))
    assert len(find_crops(folder, clip.frames, frame_numbers).pictures) == 4
    monkeypatch.setattr(frame_buffer, "MAX_RGB_BYTES", frame_buffer.MAX_RGB_BYTES - 1)
    with pytest.raises(ClipError, match="^decode: face crops of more than 0 MiB of pixels, the most allowed"):
        find_crops(folder, clip.frames, frame_numbers)


def test_each_crop_is_decoded_once_and_others_never(tmp_path, monkeypatch):
    write_folder(tmp_path / "a", 40)
    write_folder(tmp_path / "faces", faces(0, 1, 2, 38))
    read = []
    whole = crops.read_upright
    monkeypatch.setattr(crops, "read_upright", lambda path: read.append(path.name) or whole(path))
    assert len(set(shown(decoded(tmp_path, num_frames=16).crops))) == 3
    assert sorted(read) == ["2.png", "3.png", "39.png"]


def test_crops_are_part_of_what_a_clip_is_made_of(tmp_path):
    write_folder(tmp_path / "a", 4)
    folder = write_folder(tmp_path / "faces", faces(0, 1, 2, 3))
    both = [source_of(PictureFolder.at(tmp_path / name)) for name in ("a", "faces")]
    before = decoded(tmp_path).source
    assert before == source_of_both(*both)
    assert before.num_bytes == both[0].num_bytes + both[1].num_bytes
    write_folder(folder, {"2.png": face(3)})
    assert decoded(tmp_path).source.sha256 != before.sha256


def test_children_send_crops_as_they_send_frames(tmp_path):
    write_folder(tmp_path / "a", 20)
    write_folder(tmp_path / "faces", faces(0, 7, 8, 13))
    write_video(tmp_path / "b.mp4", 4)
    jobs = [job(tmp_path), job(tmp_path, crop_folder="gone"), job(tmp_path, "b.mp4")]
    with DecodePool(1) as pool:
        for place, answer in pool.stream(jobs):
            plain = decode_job(jobs[place])
            if isinstance(plain, ClipFailed):
                assert answer == plain
                continue
            assert answer.source == plain.source
            np.testing.assert_array_equal(answer.frames.rgb_UHWC, plain.frames.rgb_UHWC)
            np.testing.assert_array_equal(answer.crops.place_U, plain.crops.place_U)
            np.testing.assert_array_equal(answer.crops.found_U, plain.crops.found_U)
            assert answer.crops.notes == plain.crops.notes
            assert len(answer.crops.pictures) == len(plain.crops.pictures)
            for one, other in zip(answer.crops.pictures, plain.crops.pictures, strict=True):
                np.testing.assert_array_equal(one, other)


def test_crops_that_say_nothing_of_a_frame_are_no_crops():
    one, found = (np.zeros((3, 2, 3), np.uint8),), np.array([True, False])
    assert Crops(pictures=one, place_U=np.array([0, 0]), found_U=found).found_U.any()
    for pictures, places, message in [
        (one, [0, -1], "a crop for every frame, or for none"),
        (one, [0, 1], "crop out of range"),
        ((), [-1, -1], "no face is found without a crop"),
        ((one[0][..., :1],), [0, 0], r"crops are \[h, w, 3\]"),
        (one, [0], "one place per frame"),
    ]:
        with pytest.raises(ValueError, match=message):
            Crops(pictures=pictures, place_U=np.array(places), found_U=found)
