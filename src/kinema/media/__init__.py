"""Read and write media files. Every function lives in the module of the same name.

    write.write(chunks, path)             Chunks to mp4, webm, gif, webp, png, jpg or a folder of frames
    read.probe / read_chunks / read_video / read_image / read_audio
    layers.stored_pictures(path)          a picture file's frames with their alpha, not composited
    encoding.VideoEncoding, WebpEncoding  an encoder's own settings, for write
    manifest.read_manifest(path)          the manifest saved in a clip's file
    manifest.carried(path)                the same; empty if there is none
    sheet.sheet / sheet_of_clips          contact sheets
    resize.resize_frames                  cover, contain, stretch, crop
    audio.*                               48 kHz float samples

Requires numpy, Pillow and PyAV, but not torch. Importing this package imports none of them.
"""
