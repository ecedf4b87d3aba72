"""The surfaces: FastAPI routes, the Gradio interface and the widget's file. The engine knows none of them."""
