def markdown(found, settings):
    return ""
