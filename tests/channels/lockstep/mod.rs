mod cancel;
mod cases;
mod matrix;
mod model;
mod wakers;
