"""Looking into pictures, films and sounds, which are hostile until checked: in other processes, confined."""
