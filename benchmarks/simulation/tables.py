def markdown(found, settings, wanted): return ""
