"""``python -m fedglmm_flower`` is ``fedglmm``."""

from fedglmm_flower.cli.main import main

if __name__ == "__main__":
    main()
