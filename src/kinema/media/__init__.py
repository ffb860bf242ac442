"""Frames to files and files to frames: every function lives in the module that is named after it.

    write.write(chunks, path)             Chunks to mp4, webm, gif, webp, png, jpg or a folder of frames
    read.probe / read_chunks / read_video / read_image / read_audio
    manifest.read_manifest(path)          how a clip was made, as saved inside its file
    manifest.carried(path)                the same; empty where there is none
    sheet.sheet / sheet_of_clips          contact sheets
    resize.resize_frames                  cover, contain, stretch, crop
    audio.*                               48 kHz float samples

Needs numpy, Pillow and PyAV; never torch. Importing this package imports none of them.
"""
