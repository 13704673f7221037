# A required pipeline whose paths did not change: told, so that a required check never hangs.
skip no changed file matches
build: image

new
    image is skipped (no changed file matches)
    the run is skipped (no changed file matches)
    -> tell status not_affected
told not_affected
    nothing is outstanding any more
